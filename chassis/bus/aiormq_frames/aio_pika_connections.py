"""aio_pika's connections with the tap of chassis.bus.aiormq_frames, which survives undecodable messages."""

from typing import Any

from aio_pika.connection import Connection
from aio_pika.robust_connection import RobustConnection

from chassis.bus.aiormq_frames.transport import TapTransportFactory


class TolerantConnection(Connection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kwargs["transport_factory"] = TapTransportFactory()


class TolerantRobustConnection(RobustConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kwargs["transport_factory"] = TapTransportFactory()
