"""A shop that reads every aggregate before each message, as services with several instances do."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from chassis.core.aggregate_cache import AggregateCache
from chassis.core.loader import AggregateLoader


@contextmanager
def reading() -> Iterator[None]:
    with (
        patch.object(AggregateLoader, "_recall", lambda *_: {}),
        patch.object(AggregateCache, "get_many", lambda *_: {}),
    ):
        yield
