"""The microservice chassis: message processing, broker, store, HTTP and telemetry, shared by all services.

Start with `core/process.py`, which handles every message.
"""
