"""The limits in the definition of payment_svc agree with those of its card provider."""

from payment_svc.provider import BACKOFF_S_MAX, CALL_S_MAX, REPEATS_MAX
from payment_svc.service import EFFECT_S_MAX


def test_an_effect_may_take_longer_than_its_calls() -> None:
    """Otherwise it would end an effect whose provider still responds within each call's limit."""
    calls = 1 + 2 * REPEATS_MAX
    assert calls * CALL_S_MAX + REPEATS_MAX * BACKOFF_S_MAX < EFFECT_S_MAX
