"""The lease of an aggregate, as a store keeps it beside the state."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run an effect (core/leases.py).

    `id`: of its holder, a delivery. `since`: when it was taken or renewed, by the holder's clock.
    """

    id: str
    since: datetime
