"""The card provider as we see it, and how to ask it: silence is neither a yes nor a no.

After a time limit or an error of the provider's own the effect may have happened or not. So we look it up by our
key; if there is nothing, we ask again under the same key, which the provider takes once.
"""

import asyncio
import contextlib
from typing import Protocol

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from chassis.service import EffectUnavailable, Perform
from payment_svc import payment as card
from payment_svc.payment import Answer, Question

CALL_S_MAX = 2.0
REPEATS_MAX = 2
BACKOFF_S_MAX = 1.0


class ProviderSilent(Exception):
    """No answer: a time limit, a broken connection, a 5xx. What happened is unknown."""


SILENCE = (ProviderSilent, TimeoutError)


class ProviderRefused(Exception):
    """The provider calls our question wrong: a bug of ours, not the issuer's no. Asking again is no use."""


class Provider(Protocol):
    """Every question carries a key: put twice, it has one effect, and the first answer comes again.

    Each raises ProviderSilent or ProviderRefused; each may also never answer.
    """

    async def authorize(self, question: card.AuthorizeCard) -> card.Authorized | card.Declined: ...
    async def capture(self, question: card.CaptureAmount) -> card.Captured | card.CaptureRefused: ...
    async def void(self, question: card.VoidAuthorization) -> card.Voided: ...
    async def refund(self, question: card.RefundAmount) -> card.Refunded: ...

    async def find(self, key: str) -> Answer | None:
        """What was answered under this key; None if nothing was done under it."""
        ...


def perform(
    provider: Provider,
    *,
    call_s_max: float = CALL_S_MAX,
    repeats_max: int = REPEATS_MAX,
    backoff_s_max: float = BACKOFF_S_MAX,
) -> Perform:
    """Puts the decider's questions to a provider; raises EffectUnavailable when it stays silent."""

    async def put(question: Question) -> Answer:
        async with asyncio.timeout(call_s_max):
            return await _put(provider, question)

    async def find_or_put(question: Question) -> Answer:
        async with asyncio.timeout(call_s_max):
            found = await provider.find(question.key)
        return await put(question) if found is None else found

    async def ask(question: Question) -> Answer:
        with contextlib.suppress(ProviderSilent, TimeoutError):
            return await put(question)
        again = AsyncRetrying(
            retry=retry_if_exception_type(SILENCE),
            stop=stop_after_attempt(repeats_max),
            wait=wait_random_exponential(multiplier=backoff_s_max / 8, max=backoff_s_max),
            reraise=True,
        )
        try:
            return await again(find_or_put, question)
        except SILENCE as error:
            raise EffectUnavailable(f"the card provider is silent: {type(error).__name__}") from error

    return ask


async def _put(provider: Provider, question: Question) -> Answer:
    match question:
        case card.AuthorizeCard():
            return await provider.authorize(question)
        case card.CaptureAmount():
            return await provider.capture(question)
        case card.VoidAuthorization():
            return await provider.void(question)
        case card.RefundAmount():
            return await provider.refund(question)
