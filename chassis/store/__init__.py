"""The database: the protocol that the core needs, and its adapters."""
