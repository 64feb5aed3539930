"""Key rotation is invisible to clients:
keys are published before they sign and after their last signature.
"""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chassis.core.decision import Context
from user_svc.signing import key_ring
from user_svc.signing.key_ring import PUBLISHED_AFTER, PUBLISHED_BEFORE, KeyRing, RotateKey, SigningKey
from user_svc.signing.signer import KEYS

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


def next_key(kid: str, seal: str = "ours") -> SigningKey:
    return SigningKey(kid, "public", "sealed", seal, NOW)


def rotated(state: KeyRing, kid: str, at: datetime, seal: str = "ours") -> KeyRing:
    asked = key_ring.decide(state, RotateKey(next_key(kid, seal), MONTH, at), Context()).state
    kept: KeyRing = KEYS.codec.load(KEYS.codec.dump(asked))
    assert kept == asked
    return kept


def kids(state: KeyRing) -> list[str]:
    return [key.kid for key in state.keys]


def signs(state: KeyRing, at: datetime, seal: str = "ours") -> str | None:
    key = state.signing(seal, at)
    return key.kid if key else None


def test_the_first_key_signs_at_once() -> None:
    first = rotated(KeyRing(), "a", NOW)
    assert signs(first, NOW) == "a"
    assert not first.is_due("ours", MONTH, NOW + MONTH - PUBLISHED_BEFORE - timedelta(seconds=1))


def test_keys_are_published_before_and_after_signing() -> None:
    early = NOW + MONTH - PUBLISHED_BEFORE
    both = rotated(rotated(KeyRing(), "a", NOW), "b", early)
    assert kids(both) == ["a", "b"]
    assert signs(both, NOW + MONTH - timedelta(seconds=1)) == "a"
    assert signs(both, NOW + MONTH) == "b"
    next_turn = NOW + 2 * MONTH - PUBLISHED_BEFORE
    assert kids(rotated(both, "c", next_turn)) == ["b", "c"]


def test_a_late_key_is_published_equally_long_before_signing() -> None:
    late = NOW + 3 * MONTH
    both = rotated(rotated(KeyRing(), "a", NOW), "b", late)
    assert signs(both, late) == "a"
    assert signs(both, late + PUBLISHED_BEFORE) == "b"


def test_of_two_concurrent_instances_one_rotates_the_key() -> None:
    once = rotated(KeyRing(), "a", NOW)
    assert rotated(once, "b", NOW) == once


def test_keys_encrypted_with_another_secret_are_published_without_signing() -> None:
    before = rotated(KeyRing(), "a", NOW, seal="the old secret")
    after = rotated(before, "b", NOW + timedelta(hours=1))
    assert kids(after) == ["a", "b"]
    assert signs(after, NOW + timedelta(hours=1)) == "b"
    assert signs(after, NOW + timedelta(hours=1), "the old secret") == "a"


@given(st.lists(st.timedeltas(timedelta(0), timedelta(days=50)), max_size=30))
def test_one_key_always_signs_and_its_signatures_verify(
    pauses: list[timedelta],
) -> None:
    state, now = KeyRing(), NOW
    published: dict[str, datetime] = {}
    last_signed: dict[str, datetime] = {}
    for number, pause in enumerate(pauses):
        now += pause
        state = rotated(state, f"k{number}", now)
        for key in state.keys:
            published.setdefault(key.kid, now)
        kid = signs(state, now)
        assert kid is not None
        assert kid == "k0" or now - published[kid] >= PUBLISHED_BEFORE
        last_signed[kid] = now
        good = {kid for kid, at in last_signed.items() if now - at < PUBLISHED_AFTER}
        assert good <= set(kids(state))
        assert len(state.keys) <= 3
