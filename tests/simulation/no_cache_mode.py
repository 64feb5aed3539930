"""A shop that reads every aggregate before each message, as services with several instances do."""

from contextlib import AbstractContextManager
from unittest.mock import patch

from chassis.store.cached import CachedStore


def reading() -> AbstractContextManager[object]:
    return patch.object(CachedStore, "is_bypassed", lambda *_: True)
