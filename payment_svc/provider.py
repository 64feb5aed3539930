"""The interface of the card provider and the effect handler: no response means neither success nor failure.

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

from chassis.clock import Clock
from chassis.core.definition import EffectHandler, EffectUnavailable
from contracts.payments import PROVIDER_REMEMBERS
from payment_svc import payment as card
from payment_svc.payment import CardRequest, CardResult
from payment_svc.provider_responses import parse_response

CALL_S_MAX = 2.0
REPEATS_MAX = 2
BACKOFF_S_MAX = 1.0
# For so long after its command was said an effect may be asked for. Providers keep keys for 24 hours from their first
# use, which was later; an hour less, because clocks differ and a question takes time.
REQUEST_AGE_MAX = PROVIDER_REMEMBERS - timedelta(hours=1)


class ProviderUnavailable(Exception):
    """No answer: a time limit, a broken connection, a 5xx. What happened is unknown."""


UNAVAILABLE = (ProviderUnavailable, TimeoutError)


class UnusableResponseError(Exception):
    """An answer that is malformed, or about another transaction: what happened is as unknown as after silence."""

    def __init__(self, result: card.UnusableResponse) -> None:
        super().__init__(result.detail)
        self.result = result


OUTCOME_UNKNOWN = (*UNAVAILABLE, UnusableResponseError)


class ProviderRefused(Exception):
    """The provider calls our question wrong: a bug of ours, not the issuer's no. Asking again is no use."""


class RequestWindowExpired(Exception):
    """Nothing was done, and asking now could do it twice: only a person can."""


class Provider(Protocol):
    """Every question carries a key: put twice, it has one effect, and the first answer comes again.

    Each raises ProviderSilent or ProviderRefused; each may also never answer. An answer is a document as it came:
    `key`, `outcome`, `reference` (of the authorisation), `amount` (`amount_minor` and `currency`) and `detail`.
    `provider_responses.py` checks it, so an adapter converts names and nothing else.
    """

    async def authorize(self, request: card.AuthorizeCard) -> object: ...
    async def capture(self, request: card.CaptureAmount) -> object: ...
    async def void(self, request: card.VoidAuthorization) -> object: ...
    async def refund(self, request: card.RefundAmount) -> object: ...

    async def find(self, key: str) -> object | None:
        """What was answered under this key, for ever: by our reference. None if nothing was done under it."""
        ...


def effect_handler(
    provider: Provider,
    clock: Clock,
    *,
    call_s_max: float = CALL_S_MAX,
    repeats_max: int = REPEATS_MAX,
    backoff_s_max: float = BACKOFF_S_MAX,
) -> EffectHandler:
    """Puts the decider's questions to a provider; raises EffectUnavailable when it stays silent, or TooLate.

    After an unusable answer it looks the effect up, like after silence. If answers stay unusable the decider is given
    `Unusable`: that concerns this payment only, so it does not open the breaker for all others.
    """

    async def send(request: CardRequest) -> CardResult:
        async with asyncio.timeout(call_s_max):
            return _usable(parse_response(request, await _send(provider, request)))

    async def find(request: CardRequest) -> CardResult | None:
        async with asyncio.timeout(call_s_max):
            found = await provider.find(request.key)
            return None if found is None else _usable(parse_response(request, found))

    async def find_or_send(request: CardRequest) -> CardResult:
        return await find(request) or await send(request)

    async def find_or_give_up(request: CardRequest) -> CardResult:
        return await find(request) or _never_done(request)

    async def run_effect(request: CardRequest, first_asked: datetime) -> CardResult:
        if clock() - first_asked > REQUEST_AGE_MAX:
            return await repeatedly(find_or_give_up, request)
        with contextlib.suppress(*OUTCOME_UNKNOWN):
            return await send(request)
        return await repeatedly(find_or_send, request)

    async def repeatedly(attempt: Callable[[CardRequest], Awaitable[CardResult]], request: CardRequest) -> CardResult:
        again = AsyncRetrying(
            retry=retry_if_exception_type(OUTCOME_UNKNOWN),
            stop=stop_after_attempt(repeats_max),
            wait=wait_random_exponential(multiplier=backoff_s_max / 8, max=backoff_s_max),
            reraise=True,
        )
        try:
            return await again(attempt, request)
        except UnusableResponseError as error:
            return error.result
        except UNAVAILABLE as error:
            raise EffectUnavailable(f"the card provider is silent: {type(error).__name__}") from error

    return run_effect


def _usable(result: CardResult) -> CardResult:
    if isinstance(result, card.UnusableResponse):
        raise UnusableResponseError(result)
    return result


def _never_done(request: CardRequest) -> CardResult:
    """What it means that nothing is found of a question that must not be put again.

    Not authorised is no decline: the issuer was not asked. No money is set aside, and the order's deadline has ended
    the order or will. An order whose money was not captured is confirmed: that is a capture that failed, and a person
    looks at the order. What was not given back only a person can give back now: the command is a dead letter.
    """
    match request:
        case card.AuthorizeCard():
            return card.NeverAuthorized()
        case card.CaptureAmount():
            return card.CaptureRefused("not captured within a day, and asking again could take the money twice")
        case card.VoidAuthorization(_, reference, authorized_under):
            raise _window_expired(request, f"reference {reference}" if reference else f"key {authorized_under}")
        case card.RefundAmount(_, reference):
            raise _window_expired(request, f"reference {reference}")


def _window_expired(request: CardRequest, where: str) -> RequestWindowExpired:
    return RequestWindowExpired(
        f"nothing was done under {request.key} within a day, and asking the card provider again could do it"
        f" twice; do it by hand at the provider, under its {where}"
    )


async def _send(provider: Provider, request: CardRequest) -> object:
    match request:
        case card.AuthorizeCard():
            return await provider.authorize(request)
        case card.CaptureAmount():
            return await provider.capture(request)
        case card.VoidAuthorization():
            return await provider.void(request)
        case card.RefundAmount():
            return await provider.refund(request)
