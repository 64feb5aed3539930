"""Whether a service can be brought back from an old backup, by what is kept and for how long.

`RECOVERY_WINDOW_DAYS` is the age of the oldest backup that must still do. To bring a database of that age up
to date, the journal needs all events since, and every consumer of a message that is published again needs its
record of having handled the message.
"""

from collections.abc import Iterator
from datetime import timedelta

from chassis.bus.topology_policies import JOURNAL_KEPT
from chassis.core.definition import CLOCK_MARGIN, ServiceDefinition
from chassis.settings import BadSettings

# Reading begins before the backup, and restoring takes time.
MARGIN = timedelta(days=1)
_SETTING = "RECOVERY_WINDOW_DAYS"


def require_recoverable(service: ServiceDefinition, window: timedelta) -> None:
    """Raises BadSettings, which names the settings that contradict each other."""
    if reasons := list(shortfalls(service, window)):
        raise BadSettings(f"{service.name} could not be restored from a backup: " + "; ".join(reasons))


def shortfalls(service: ServiceDefinition, window: timedelta) -> Iterator[str]:
    """What is not kept long enough, and the setting to change."""
    needed = window + MARGIN
    if needed > JOURNAL_KEPT:
        yield (
            f"{_SETTING} is {_days(window)}, but the journal keeps events for {_days(JOURNAL_KEPT)}; set it "
            f"to {_days(JOURNAL_KEPT - MARGIN)} at most"
        )
    for aggregate in service.aggregates:
        if aggregate.ttl is None or not aggregate.handles:
            continue
        if aggregate.ttl - CLOCK_MARGIN < needed:
            yield (
                f"{aggregate.kind} are deleted after {_days(aggregate.ttl)}, so a message that is published "
                f"again could be too old; set RETENTION_DAYS to {_days(needed + CLOCK_MARGIN)} at least, or "
                f"{_SETTING} to {_days(aggregate.ttl - CLOCK_MARGIN - MARGIN)} at most"
            )


def _days(time: timedelta) -> str:
    return f"{time / timedelta(days=1):g}"
