"""The simulated card provider's ledger: one entry per idempotency key, and the card payment rules.

Pure functions.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from chassis.messaging.identity import derived_id
from contracts.payments import DeclineReason
from contracts.values import NOTHING, Money
from payment_svc import payment as card
from payment_svc.payment import CardRequest
from payment_svc.provider import ProviderRefused

_DECLINES = {
    "tok_declined": DeclineReason.REFUSED,
    "tok_no_funds": DeclineReason.INSUFFICIENT_FUNDS,
    "tok_expired": DeclineReason.EXPIRED_CARD,
}


class Outcome(StrEnum):
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CAPTURED = "captured"
    CAPTURE_REFUSED = "capture_refused"
    VOIDED = "voided"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """The request under one key and its outcome.

    Only an authorisation has a card token and the running totals.
    """

    effect: str
    asked: str  # a fingerprint of the request
    reference: str  # of the authorisation
    amount: Money
    outcome: Outcome
    detail: str = ""
    card_token: str = ""
    captured_minor: int = 0
    refunded_minor: int = 0
    voided: bool = False
    captures_refused: int = 0

    def document(self, key: str) -> dict[str, object]:
        """The response under this key, as it is sent."""
        return {
            "key": key,
            "outcome": self.outcome.value,
            "reference": self.reference,
            "amount": self.amount.model_dump(),
            "detail": self.detail,
        }


Ledger = dict[str, LedgerEntry]  # by idempotency key


def settle(request: CardRequest, ledger: Ledger, *, declining: bool = False) -> Ledger:
    """The entries that this request adds and changes, by the card payment rules. Raises ProviderRefused.

    `declining`: the issuer declines every new authorisation.
    """
    asked = _fingerprint(request)
    if (known := ledger.get(request.key)) is not None:
        if known.asked != asked:
            raise ProviderRefused(f"{request.key} was used before for another request")
        return {}
    if isinstance(request, card.AuthorizeCard):
        no = DeclineReason.REFUSED if declining else _DECLINES.get(request.card_token)
        outcome = Outcome.DECLINED if no else Outcome.AUTHORIZED
        reference = f"sim:{request.key}"
        entry = LedgerEntry(
            "authorize", asked, reference, request.amount, outcome, no or "", request.card_token
        )
        return {request.key: entry}

    held = ledger.get(authorization_key(request))
    if held is None or held.outcome is not Outcome.AUTHORIZED:
        if isinstance(request, card.VoidAuthorization) and not request.reference:  # nothing is authorised
            nothing = LedgerEntry("void", asked, f"sim:{request.authorized_under}", NOTHING, Outcome.VOIDED)
            return {request.key: nothing}
        raise ProviderRefused(f"there is no authorisation {request.reference}")
    entry, held = _move(request, asked, held)
    return {request.key: entry, authorization_key(request): held}


def _move(
    request: card.CaptureAmount | card.VoidAuthorization | card.RefundAmount, asked: str, held: LedgerEntry
) -> tuple[LedgerEntry, LedgerEntry]:
    """The new entry, and the authorisation after it."""
    match request:
        case card.CaptureAmount(_, reference, amount):
            captured = LedgerEntry("capture", asked, reference, amount, Outcome.CAPTURED)
            if why := _why_no_capture(held, amount):
                refused = replace(captured, outcome=Outcome.CAPTURE_REFUSED, detail=why)
                return refused, replace(held, captures_refused=held.captures_refused + 1)
            return captured, replace(held, captured_minor=held.captured_minor + amount.amount_minor)
        case card.VoidAuthorization():
            if held.captured_minor:
                raise ProviderRefused(f"{held.reference} is captured; it can only be refunded")
            return LedgerEntry("void", asked, held.reference, held.amount, Outcome.VOIDED), replace(
                held, voided=True
            )
        case card.RefundAmount(_, reference, amount):
            refunded_minor = held.refunded_minor + amount.amount_minor
            if amount.currency != held.amount.currency or refunded_minor > held.captured_minor:
                raise ProviderRefused(f"a refund of {reference} cannot exceed the captured amount")
            refunded = LedgerEntry("refund", asked, reference, amount, Outcome.REFUNDED)
            return refunded, replace(held, refunded_minor=refunded_minor)


def _why_no_capture(held: LedgerEntry, amount: Money) -> str:
    if held.card_token == "tok_capture_refused":
        return "the issuer has withdrawn the authorisation"
    if held.card_token == "tok_capture_refused_once" and not held.captures_refused:
        return "the issuer cannot be reached"
    if held.voided:
        return "the authorisation is voided"
    if amount.currency != held.amount.currency:
        return "another currency than authorised"
    if held.captured_minor + amount.amount_minor > held.amount.amount_minor:
        return "more than authorised"
    return ""


def _fingerprint(request: CardRequest) -> str:
    match request:
        case card.AuthorizeCard(_, order_id, amount, token):
            return derived_id("authorize", order_id, amount, token)
        case card.CaptureAmount(_, reference, amount):
            return derived_id("capture", reference, amount)
        case card.VoidAuthorization(_, reference, authorized_under):
            return derived_id("void", reference or authorized_under)
        case card.RefundAmount(_, reference, amount):
            return derived_id("refund", reference, amount)


def authorization_key(request: CardRequest) -> str:
    match request:
        case card.AuthorizeCard(key):
            return key
        case card.VoidAuthorization(_, "", authorized_under):
            return authorized_under
        case _:
            return request.reference.removeprefix("sim:")
