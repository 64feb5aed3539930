"""The broker's management API: topology, drift, users, client programs."""
