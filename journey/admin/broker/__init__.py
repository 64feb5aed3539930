"""RabbitMQ through its management API: topology, drift, users, client programs."""
