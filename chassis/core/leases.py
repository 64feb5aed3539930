"""The right to run the effect of an aggregate: one instance has it at a time, for one delivery.

An effect without an idempotency key would happen twice if two instances ran it: a message may be redelivered
while its first consumer still runs, and instances may send the same reminder. So the decision to run such an
effect is written first, as a lease in the aggregate's document. The write is a compare-and-set; one instance
wins. The next write about the message, with the effect's result or because it failed, ends the lease.

A message gets its lease when a slot for its effect is free, so that no lease has to wait.

If the holder dies, another instance takes over the lease once it has seen it for as long as the holder may
need (C. Gray and D. Cheriton, "Leases", 1989). It measures this on its own monotonic clock, as candidates do
in the leader election of Kubernetes, so that differing clocks do not matter. An instance that has just
started has seen nothing yet. So that instances which restart all the time take over, too, a lease also ends
when it is so old that no tolerated difference of clocks explains it.
"""

import asyncio
from datetime import timedelta

from chassis.clock import CLOCK_SKEW_MAX, Clock
from chassis.core.definition import EffectRunning, ServiceDefinition
from chassis.core.pending_message import PendingMessage
from chassis.core.working_copy import WorkingCopy
from chassis.messaging.identity import new_id
from chassis.store.lease import Lease

STORE_S_MAX = 10.0
"""How long it may take to store the result of an effect before others take the lease for expired."""
_SEEN_MAX = 2_000


class EffectLeases:
    """The leases of one instance, and those of others that it has seen."""

    def __init__(self, service: ServiceDefinition, clock: Clock) -> None:
        self._clock = clock
        self._expires_s = service.effects.timeout_s + STORE_S_MAX
        self._seen: dict[Lease, float] = {}  # when first, in seconds of the event loop's clock

    def take(self, working_copy: WorkingCopy, pending: PendingMessage) -> None:
        """The message gets the lease of its aggregate, or renews it, once the working copy is stored.

        It keeps the lease's id if the write has to be repeated, because the write before may have been done.
        Raises EffectRunning while another message or another instance may have it.
        """
        current = working_copy.lease
        if current is not None and not _is_held_by(pending, current) and not self._has_expired(current):
            raise EffectRunning(
                f"its effect may be running since {current.since.isoformat(timespec='seconds')}, for another "
                "copy of the message or in another instance"
            )
        id_ = pending.lease.id if pending.lease else str(new_id())
        working_copy.lease = pending.lease = Lease(id_, since=self._clock())
        working_copy.changed = True

    def end(self, working_copy: WorkingCopy, pending: PendingMessage) -> None:
        """Once the working copy is stored, others may get the lease that this message has."""
        if working_copy.lease is not None and _is_held_by(pending, working_copy.lease):
            working_copy.lease = None
            working_copy.changed = True

    def _has_expired(self, lease: Lease) -> bool:
        now = asyncio.get_running_loop().time()
        since = self._seen.setdefault(lease, now)
        while len(self._seen) > _SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        if now - since >= self._expires_s:
            return True
        return self._clock() - lease.since >= timedelta(seconds=self._expires_s) + 2 * CLOCK_SKEW_MAX


def _is_held_by(pending: PendingMessage, lease: Lease) -> bool:
    return pending.lease is not None and pending.lease.id == lease.id
