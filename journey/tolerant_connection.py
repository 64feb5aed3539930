"""aio_pika's connections with the frame reader of chassis.bus.aiormq_frames,
which survives undecodable messages.
"""

from typing import Any

from aio_pika.connection import Connection
from aio_pika.robust_connection import RobustConnection

from chassis.bus.aiormq_frames import TapTransportFactory


class TolerantConnection(Connection):
    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.kwargs["transport_factory"] = TapTransportFactory()


class TolerantRobustConnection(RobustConnection):
    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.kwargs["transport_factory"] = TapTransportFactory()
