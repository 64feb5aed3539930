"""The message broker: the protocol that the core needs, and its adapters."""
