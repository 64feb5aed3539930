"""The card provider as we see it, and how to ask it: silence is neither a yes nor a no.

After a time limit or an error of the provider's own the effect may have happened or not. So we look it up by our
key; if there is nothing, we ask again under the same key, which the provider takes once. But it remembers keys for a
day only: after that an effect is looked up and never asked for again, however late its command is redriven.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from chassis.handle import Clock
from chassis.service import EffectUnavailable, Perform
from contracts.payments import PROVIDER_REMEMBERS
from payment_svc import payment as card
from payment_svc.payment import Answer, Question
from payment_svc.reading import read

CALL_S_MAX = 2.0
REPEATS_MAX = 2
BACKOFF_S_MAX = 1.0
# For so long after its command was said an effect may be asked for. Providers keep keys for 24 hours from their first
# use, which was later; an hour less, because clocks differ and a question takes time.
ASK_AGE_MAX = PROVIDER_REMEMBERS - timedelta(hours=1)


class ProviderSilent(Exception):
    """No answer: a time limit, a broken connection, a 5xx. What happened is unknown."""


SILENCE = (ProviderSilent, TimeoutError)


class UnusableAnswer(Exception):
    """An answer that is malformed, or about another transaction: what happened is as unknown as after silence."""

    def __init__(self, answer: card.Unusable) -> None:
        super().__init__(answer.detail)
        self.answer = answer


UNKNOWN = (*SILENCE, UnusableAnswer)


class ProviderRefused(Exception):
    """The provider calls our question wrong: a bug of ours, not the issuer's no. Asking again is no use."""


class TooLate(Exception):
    """Nothing was done, and asking now could do it twice: only a person can."""


class Provider(Protocol):
    """Every question carries a key: put twice, it has one effect, and the first answer comes again.

    Each raises ProviderSilent or ProviderRefused; each may also never answer. An answer is a document as it came:
    `key`, `outcome`, `reference` (of the authorisation), `amount` (`amount_minor` and `currency`) and `detail`.
    `reading.py` checks it, so an adapter converts names and nothing else.
    """

    async def authorize(self, question: card.AuthorizeCard) -> object: ...
    async def capture(self, question: card.CaptureAmount) -> object: ...
    async def void(self, question: card.VoidAuthorization) -> object: ...
    async def refund(self, question: card.RefundAmount) -> object: ...

    async def find(self, key: str) -> object | None:
        """What was answered under this key, for ever: by our reference. None if nothing was done under it."""
        ...


def perform(
    provider: Provider,
    clock: Clock,
    *,
    call_s_max: float = CALL_S_MAX,
    repeats_max: int = REPEATS_MAX,
    backoff_s_max: float = BACKOFF_S_MAX,
) -> Perform:
    """Puts the decider's questions to a provider; raises EffectUnavailable when it stays silent, or TooLate.

    After an unusable answer it looks the effect up, like after silence. If answers stay unusable the decider is given
    `Unusable`: that concerns this payment only, so it does not open the breaker for all others.
    """

    async def put(question: Question) -> Answer:
        async with asyncio.timeout(call_s_max):
            return _usable(read(question, await _put(provider, question)))

    async def find(question: Question) -> Answer | None:
        async with asyncio.timeout(call_s_max):
            found = await provider.find(question.key)
            return None if found is None else _usable(read(question, found))

    async def find_or_put(question: Question) -> Answer:
        return await find(question) or await put(question)

    async def only_find(question: Question) -> Answer:
        return await find(question) or _never_done(question)

    async def ask(question: Question, first_asked: datetime) -> Answer:
        if clock() - first_asked > ASK_AGE_MAX:
            return await repeatedly(only_find, question)
        with contextlib.suppress(*UNKNOWN):
            return await put(question)
        return await repeatedly(find_or_put, question)

    async def repeatedly(attempt: Callable[[Question], Awaitable[Answer]], question: Question) -> Answer:
        again = AsyncRetrying(
            retry=retry_if_exception_type(UNKNOWN),
            stop=stop_after_attempt(repeats_max),
            wait=wait_random_exponential(multiplier=backoff_s_max / 8, max=backoff_s_max),
            reraise=True,
        )
        try:
            return await again(attempt, question)
        except UnusableAnswer as error:
            return error.answer
        except SILENCE as error:
            raise EffectUnavailable(f"the card provider is silent: {type(error).__name__}") from error

    return ask


def _usable(answer: Answer) -> Answer:
    if isinstance(answer, card.Unusable):
        raise UnusableAnswer(answer)
    return answer


def _never_done(question: Question) -> Answer:
    """What it means that nothing is found of a question that must not be put again.

    Not authorised is no decline: the issuer was not asked. No money is set aside, and the order's deadline has ended
    the order or will. An order whose money was not captured is confirmed: that is a capture that failed, and a person
    looks at the order. What was not given back only a person can give back now: the command is a dead letter.
    """
    match question:
        case card.AuthorizeCard():
            return card.NeverAuthorized()
        case card.CaptureAmount():
            return card.CaptureRefused("not captured within a day, and asking again could take the money twice")
        case card.VoidAuthorization(_, reference, authorized_under):
            raise _too_late(question, f"reference {reference}" if reference else f"key {authorized_under}")
        case card.RefundAmount(_, reference):
            raise _too_late(question, f"reference {reference}")


def _too_late(question: Question, where: str) -> TooLate:
    return TooLate(
        f"nothing was done under {question.key} within a day, and asking the card provider again could do it"
        f" twice; do it by hand at the provider, under its {where}"
    )


async def _put(provider: Provider, question: Question) -> object:
    match question:
        case card.AuthorizeCard():
            return await provider.authorize(question)
        case card.CaptureAmount():
            return await provider.capture(question)
        case card.VoidAuthorization():
            return await provider.void(question)
        case card.RefundAmount():
            return await provider.refund(question)
