"""A shop that reads everything before each message, as services do that run in several instances."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import chassis.handle
from chassis.known import Known


@contextmanager
def reading() -> Iterator[None]:
    with patch.object(chassis.handle, "_recalled", lambda *_: {}), patch.object(Known, "recall", lambda *_: {}):
        yield
