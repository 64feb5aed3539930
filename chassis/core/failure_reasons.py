"""Why the message path gives a message up, as one word of a fixed set: for metrics and logs."""

from typing import Literal

from chassis.bus.protocol import Unroutable
from chassis.core.decision import OutOfTurn
from chassis.core.definition import EffectRunning, EffectUnavailable, TooOld
from chassis.core.other_release import OtherRelease
from chassis.core.retry import PoisonMessage
from chassis.messaging.envelope import Forged, Malformed
from chassis.store.protocol import StoreRefused

Reason = Literal[
    "forged",
    "malformed",
    "other_release",
    "poison",
    "too_old",
    "out_of_turn",
    "unroutable",
    "refused_by_store",
    "effect_running",
    "effect_unavailable",
    "bug",
]

_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (Forged, "forged"),  # before Malformed, the base class of these two
    (OtherRelease, "other_release"),
    (Malformed, "malformed"),
    (PoisonMessage, "poison"),
    (TooOld, "too_old"),
    (OutOfTurn, "out_of_turn"),
    (Unroutable, "unroutable"),
    (StoreRefused, "refused_by_store"),
    (EffectRunning, "effect_running"),
    (EffectUnavailable, "effect_unavailable"),
)


def reason_of(error: Exception) -> Reason:
    """`bug`: any error that the message path does not know."""
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "bug")
