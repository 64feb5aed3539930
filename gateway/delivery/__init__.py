"""Where an order is delivered to: chosen by its customer, and stored encrypted until an erasure."""
