"""The service map with live figures from the broker."""
