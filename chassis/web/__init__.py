"""HTTP of a service: health, metrics, histories, and safe request headers."""
