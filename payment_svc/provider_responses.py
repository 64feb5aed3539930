"""Parses the card provider's responses: external documents that may contain anything. Pure functions.

Every adapter of a provider returns its responses as documents, so that their shape and bounds are checked in
one place. A response names its idempotency key; one with another key says nothing about the request.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.payments import DeclineReason
from contracts.values import Money
from payment_svc import payment as card
from payment_svc.payment import CardRequest, CardResult

_DETAIL_MAX = 500
_SHOWN_MAX = 200
_DECLINE_REASONS = {
    reason.value: reason for reason in DeclineReason if reason is not DeclineReason.PROVIDER_MISMATCH
}
_MOVEMENTS: Mapping[str, Callable[[str, Money], CardResult]] = {
    "authorized": card.Authorized,
    "captured": card.Captured,
    "voided": card.Voided,
    "refunded": card.Refunded,
}
_OUTCOMES: Mapping[type, tuple[str, ...]] = {
    card.AuthorizeCard: ("authorized", "declined"),
    card.CaptureAmount: ("captured", "capture_refused"),
    card.VoidAuthorization: ("voided",),
    card.RefundAmount: ("refunded",),
}


class _Response(BaseModel):
    """The fields of every response. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    key: Annotated[str, Field(max_length=_SHOWN_MAX)]
    outcome: Annotated[str, Field(max_length=50)]


class _RefusedResponse(_Response):
    detail: Annotated[str, Field(max_length=_DETAIL_MAX)] = ""


class _MovedResponse(_Response):
    reference: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,100}$")]
    amount: Money


def parse_response(request: CardRequest, document: object) -> CardResult:
    """Never raises: an unusable response becomes `UnusableResponse`, with the reason."""
    try:
        reply = _Response.model_validate(document)
        if reply.key != request.key:
            return card.UnusableResponse(
                request.key, f"asked about {request.key}, the card provider answers about another transaction"
            )
        if reply.outcome not in _OUTCOMES[type(request)]:
            expected = " or ".join(_OUTCOMES[type(request)])
            return card.UnusableResponse(
                request.key, f"the card provider's answer about {request.key} is not {expected}"
            )
        result = _result(reply.outcome, document)
        if isinstance(request, card.RefundAmount) and isinstance(result, card.Refunded):
            return replace(result, part=request.part)
        return result
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, wrong["loc"])) or "document"
        return card.UnusableResponse(
            request.key,
            f"the card provider's answer about {request.key} cannot be read: {field}: "
            f"{wrong['msg'][:_SHOWN_MAX]}",
        )


def _result(outcome: str, document: object) -> CardResult:
    if outcome in ("declined", "capture_refused"):
        rejection = _RefusedResponse.model_validate(document)
        if outcome == "declined":
            return card.Declined(_DECLINE_REASONS.get(rejection.detail, DeclineReason.REFUSED))
        return card.CaptureRefused(rejection.detail)
    moved = _MovedResponse.model_validate(document)
    return _MOVEMENTS[outcome](moved.reference, moved.amount)
