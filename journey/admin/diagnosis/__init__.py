"""What an order waits for, which orders are stuck, whether the promises hold."""
