"""The key ring that signs tokens: one document, so that all instances sign with the same keys.

A key is published before it signs, for longer than clients cache the published keys. It stays published after
its last signature until everything that it signed has expired.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chassis.clock import CLOCK_SKEW_MAX
from chassis.core.decision import Context, Decision

PUBLISHED_BEFORE = timedelta(minutes=30)
PUBLISHED_AFTER = timedelta(hours=25)  # the longest lifetime of a link in a mail, plus an hour


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`private` is encrypted; `seal` identifies the secret that decrypts it,
    which may differ from the current one.
    """

    kid: str
    public: str
    private: str = field(repr=False)
    seal: str
    signs_from: datetime

    def is_misdated(self, now: datetime) -> bool:
        """Whether the date is further in the future than any tolerated clock skew explains."""
        return self.signs_from > now + PUBLISHED_BEFORE + CLOCK_SKEW_MAX


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys, in the order in which they sign."""

    keys: tuple[SigningKey, ...] = ()

    def signing(self, seal: str, now: datetime) -> SigningKey | None:
        """The newest key that has begun to sign, among those that can be decrypted.

        If all begin in the future because the clock was set back, the first of them, so that logins still
        work.
        """
        own = [key for key in self.keys if key.seal == seal]
        return next((key for key in reversed(own) if key.signs_from <= now), own[0] if own else None)

    def is_due(self, seal: str, every: timedelta, now: datetime) -> bool:
        """Whether the ring must change: the next key must be published, or a key has an impossible date."""
        own = [key for key in self.keys if key.seal == seal]
        return not own or own[-1].signs_from + every - PUBLISHED_BEFORE <= now or own[-1].is_misdated(now)

    def with_dates_corrected(self, now: datetime) -> "KeyRing":
        """Moves impossible dates closer; otherwise the next key would be delayed by as much as the date is
        wrong.

        Either the clock that dated the keys was ahead, or the current one is behind. In both cases an earlier
        start is harmless.
        """
        latest = now + PUBLISHED_BEFORE
        return KeyRing(
            tuple(replace(key, signs_from=latest) if key.is_misdated(now) else key for key in self.keys)
        )


@dataclass(frozen=True, slots=True)
class RotateKey:
    """`next_key`: a new key, used if one is due; `decide` sets when it starts to sign. `every`: how long a
    key signs.
    """

    next_key: SigningKey
    every: timedelta
    at: datetime


def decide(ring: KeyRing, command: RotateKey, _: Context[object]) -> Decision[KeyRing]:
    next_key, now = command.next_key, command.at
    if not ring.is_due(next_key.seal, command.every, now):
        return Decision(ring)  # another instance was faster
    ring = ring.with_dates_corrected(now)
    if not ring.is_due(next_key.seal, command.every, now):
        return Decision(ring)
    has_signer = ring.signing(next_key.seal, now) is not None
    rotated = replace(next_key, signs_from=now + PUBLISHED_BEFORE if has_signer else now)
    return Decision(
        KeyRing(tuple(sorted((*still_needed(ring, now), rotated), key=lambda key: key.signs_from)))
    )


def still_needed(ring: KeyRing, now: datetime) -> list[SigningKey]:
    """The keys without those whose successor has signed for so long that everything they signed has
    expired.
    """
    followed = zip(ring.keys, ring.keys[1:], strict=False)
    over = {key.kid for key, after in followed if after.signs_from + PUBLISHED_AFTER <= now}
    return [key for key in ring.keys if key.kid not in over]
