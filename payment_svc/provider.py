"""The interface of the card provider and the effect handler: no response means neither success nor failure.

After a timeout or a provider error the effect may or may not have happened. So the handler looks it up by
key. If nothing is found, it sends the request again under the same key, which the provider executes once. But
the provider remembers keys for a day only: after that an effect is only looked up, however late its command
is redriven.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from chassis.backoff import Backoff
from chassis.clock import Clock
from chassis.core.definition import EffectHandler, EffectUnavailable
from chassis.telemetry import tracing
from contracts.payments import PROVIDER_REMEMBERS
from payment_svc import payment as card
from payment_svc.payment import CardRequest, CardResult
from payment_svc.provider_responses import parse_response

CALL_S_MAX = 2.0
REPEATS_MAX = 2
BACKOFF_S_MAX = 1.0
# The age of a command up to which its request may be sent. Providers keep keys for 24 hours from their first
# use, which was later than the command; the margin of an hour covers clock differences and the duration of a
# request.
REQUEST_AGE_MAX = PROVIDER_REMEMBERS - timedelta(hours=1)


class ProviderUnavailable(Exception):
    """No response: a timeout, a broken connection, a 5xx. What happened is unknown."""


UNAVAILABLE = (ProviderUnavailable, TimeoutError)


class UnusableResponseError(Exception):
    """A response that is malformed or about another transaction.

    What happened is unknown, as without a response.
    """

    def __init__(self, result: card.UnusableResponse) -> None:
        super().__init__(result.detail)
        self.result = result


OUTCOME_UNKNOWN = (*UNAVAILABLE, UnusableResponseError)


class ProviderRefused(Exception):
    """The provider calls our request invalid: a bug, not a decline by the issuer. Do not retry."""


class Provider(Protocol):
    """Every request carries a key: sent twice, it has one effect and returns the first response.

    Each method raises ProviderUnavailable or ProviderRefused, and may also never return. A response is the
    unparsed document: `key`, `outcome`, `reference` (of the authorisation), `amount` (`amount_minor` and
    `currency`) and `detail`. `provider_responses.py` validates it, so an adapter only converts names.
    """

    async def authorize(self, request: card.AuthorizeCard) -> object: ...
    async def capture(self, request: card.CaptureAmount) -> object: ...
    async def void(self, request: card.VoidAuthorization) -> object: ...
    async def refund(self, request: card.RefundAmount) -> object: ...

    async def find(self, key: str) -> object | None:
        """The response under this key, found by our reference without a time limit. None if nothing was done
        under it.
        """
        ...


def effect_handler(
    provider: Provider,
    clock: Clock,
    *,
    call_s_max: float = CALL_S_MAX,
    repeats_max: int = REPEATS_MAX,
    backoff_s_max: float = BACKOFF_S_MAX,
) -> EffectHandler[CardRequest, CardResult]:
    """Sends the decider's requests to a provider.

    Raises EffectUnavailable without a response.

    An unusable response is followed by a look-up, like a missing one. If responses stay unusable, the result
    is `UnusableResponse`: that concerns this payment only, so it does not open the circuit breaker for all
    others.
    """

    async def send(request: CardRequest) -> CardResult:
        with tracing.child_span(f"card provider {type(request).__name__}", "client"):
            async with asyncio.timeout(call_s_max):
                return _usable(parse_response(request, await _send(provider, request)))

    async def find(request: CardRequest) -> CardResult | None:
        with tracing.child_span("card provider find", "client"):
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

    async def repeatedly(
        attempt: Callable[[CardRequest], Awaitable[CardResult]], request: CardRequest
    ) -> CardResult:
        backoff = Backoff(backoff_s_max / 16, backoff_s_max / 2, jitter=1.0)
        again = AsyncRetrying(
            retry=retry_if_exception_type(OUTCOME_UNKNOWN),
            stop=stop_after_attempt(repeats_max),
            wait=lambda _: backoff.next_s(),
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
    """The result if nothing is found for a request that must not be sent again.

    Not authorised is not a decline: the issuer was not asked. No money is held, and the deadline ends the
    order. An order whose money was not captured is confirmed: that is a failed capture, and staff check the
    order. A missing void or refund needs staff as well.
    """
    match request:
        case card.AuthorizeCard():
            return card.NeverAuthorized()
        case card.CaptureAmount():
            return card.CaptureRefused(
                "not captured within a day, and asking again could take the money twice"
            )
        case card.VoidAuthorization(_, reference, authorized_under):
            return _not_done(request, f"reference {reference}" if reference else f"key {authorized_under}")
        case card.RefundAmount(_, reference):
            return _not_done(request, f"reference {reference}")


def _not_done(request: CardRequest, where: str) -> card.NeverDone:
    """What staff can do about it depends on the payment, so the decider adds it."""
    return card.NeverDone(
        request.key,
        f"the card provider has done nothing under {request.key} within a day; look at its books under its"
        f" {where}",
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
