"""The command line of Order Journey, and the client library for programs: `from journey import Client`."""

from journey.client import Client, NotSent

__all__ = ["Client", "NotSent"]
