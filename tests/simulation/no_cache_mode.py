"""A shop that reads every aggregate before each message, as services with several instances do."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import chassis.core.process
from chassis.core.aggregate_cache import AggregateCache


@contextmanager
def reading() -> Iterator[None]:
    with (
        patch.object(chassis.core.process, "_recalled", lambda *_: {}),
        patch.object(AggregateCache, "get_many", lambda *_: {}),
    ):
        yield
