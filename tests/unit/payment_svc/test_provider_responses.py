"""Parsing of provider responses: each matches the request exactly or is unusable, and no response raises."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.core.definition import EffectUnavailable
from chassis.core.effects import EffectRunner
from contracts import payments
from contracts.payments import DeclineReason
from contracts.values import Money
from payment_svc import payment as card
from payment_svc.payment import CardRequest
from payment_svc.provider import ProviderUnavailable, effect_handler
from payment_svc.provider_responses import parse_response
from payment_svc.service import payment_service
from tests.simulation import virtual_time
from tests.support.messages import ORDER, TOTAL
from tests.support.pending_message_factory import pending

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AUTHORIZE = card.AuthorizeCard(f"{ORDER}:authorize", ORDER, TOTAL, "tok_visa_4242")
CAPTURE = card.CaptureAmount(f"{ORDER}:capture", "ref-1", TOTAL)
VOID = card.VoidAuthorization(f"{ORDER}:void", "ref-1", AUTHORIZE.key)
REFUND = card.RefundAmount(f"{ORDER}:refund", "ref-1", TOTAL)
CARD_REQUESTS: Mapping[str, tuple[CardRequest, Any]] = {
    "authorized": (AUTHORIZE, card.Authorized("ref-1", TOTAL)),
    "captured": (CAPTURE, card.Captured("ref-1", TOTAL)),
    "voided": (VOID, card.Voided("ref-1", TOTAL)),
    "refunded": (REFUND, card.Refunded("ref-1", TOTAL)),
}
MISSING = "<missing>"


def document(kind: str, /, **but: Any) -> dict[str, Any]:
    card_request, _ = CARD_REQUESTS[kind]
    whole = {
        "key": card_request.key,
        "outcome": kind,
        "reference": "ref-1",
        "amount": TOTAL.model_dump(),
        "detail": "",
    }
    return {name: value for name, value in (whole | but).items() if value != MISSING}


def money(amount_minor: Any = 6_400, currency: Any = "EUR") -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency}


@pytest.mark.parametrize("outcome", CARD_REQUESTS)
def test_a_documented_response_is_read(outcome: str) -> None:
    card_request, response = CARD_REQUESTS[outcome]
    assert parse_response(card_request, document(outcome)) == response
    assert parse_response(card_request, document(outcome, risk={"score": 3})) == response, (
        "unknown fields are ignored"
    )


@pytest.mark.parametrize("outcome", CARD_REQUESTS)
@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": MISSING},
        {"amount": None},
        {"amount": 6_400},
        {"amount": "64.00 EUR"},
        {"amount": []},
        {"amount": money("6400")},
        {"amount": money(6400.0)},
        {"amount": money(float("nan"))},
        {"amount": money(-6_400)},
        {"amount": money(10**40)},
        {"amount": money(True)},
        {"amount": money(None)},
        {"amount": {"currency": "EUR"}},
        {"amount": {"amount_minor": 6_400}},
        {"amount": money(currency="eur")},
        {"amount": money(currency="EURO")},
        {"amount": money(currency="XXX")},
        {"amount": money(currency=978)},
        {"amount": money(currency=None)},
        {"reference": MISSING},
        {"reference": None},
        {"reference": ""},
        {"reference": 17},
        {"reference": "r" * 101},
        {"reference": "ref\x00\u202e"},
        {"key": MISSING},
        {"key": None},
        {"key": "another:authorize"},
        {"key": "k" * 10_000},
        {"outcome": MISSING},
        {"outcome": None},
        {"outcome": "pending"},
        {"outcome": "declined "},
    ],
    ids=str,
)
def test_any_other_shape_is_unusable_with_a_short_reason(outcome: str, wrong: dict[str, Any]) -> None:
    card_request, _ = CARD_REQUESTS[outcome]
    response = parse_response(card_request, document(outcome, **wrong))
    assert isinstance(response, card.UnusableResponse) and response.key == card_request.key
    assert "card provider" in response.detail and len(response.detail) < 500


@pytest.mark.parametrize("outcome", CARD_REQUESTS)
@pytest.mark.parametrize("other", CARD_REQUESTS)
def test_the_outcome_of_another_effect_is_unusable(outcome: str, other: str) -> None:
    card_request, _ = CARD_REQUESTS[outcome]
    response = parse_response(card_request, document(outcome, outcome=other))
    assert isinstance(response, card.UnusableResponse) is (other != outcome)


def test_the_text_of_a_rejection_is_not_trusted() -> None:
    def declined(detail: Any) -> Any:
        return parse_response(
            AUTHORIZE, document("authorized", outcome="declined", detail=detail, amount=MISSING)
        )

    assert declined("insufficient_funds") == card.Declined(DeclineReason.INSUFFICIENT_FUNDS)
    assert declined("do_not_honor") == declined("provider_mismatch") == card.Declined(DeclineReason.REFUSED)
    assert isinstance(declined(17), card.UnusableResponse)
    assert isinstance(declined("x" * 501), card.UnusableResponse)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["EUR", "ref-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_CHANGED = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("key", "outcome", "reference", "amount", "detail"), _JSON) | {"more": _JSON}
)


@given(outcome=st.sampled_from([*CARD_REQUESTS]), changed=_CHANGED, whole=st.none() | _JSON)
def test_an_undocumented_response_is_unusable(outcome: str, changed: dict[str, Any], whole: Any) -> None:
    card_request, right = CARD_REQUESTS[outcome]
    emitted = document(outcome, **changed) if whole is None else whole
    response = parse_response(card_request, emitted)
    assert isinstance(response, card.UnusableResponse | type(right))
    if isinstance(response, card.UnusableResponse):
        assert response.detail
    else:
        assert isinstance(emitted, dict) and emitted["key"] == card_request.key
        assert (
            response.amount.model_dump() == emitted["amount"] and response.reference == emitted["reference"]
        )


# through the whole effect handler


class Odd:
    """Returns these responses in turn, the last one repeatedly. None: no response."""

    def __init__(self, put: list[Any], found: list[Any]) -> None:
        self._put = put
        self._found = found
        self.puts = 0

    async def authorize(self, card_request: card.AuthorizeCard) -> object:
        self.puts += 1
        return self._next(self._put)

    capture = void = refund = authorize

    async def find(self, key: str) -> object:
        return self._next(self._found)

    def _next(self, responses: list[Any]) -> Any:
        response = responses.pop(0) if len(responses) > 1 else responses[0]
        if response is None:
            raise ProviderUnavailable("503")
        return None if response == MISSING else response


def ask(provider: Odd, card_request: CardRequest = AUTHORIZE) -> Any:
    return virtual_time.play(effect_handler(provider, lambda: NOW)(card_request, NOW))  # type: ignore[arg-type]


ODD = {"key": "another:authorize", "outcome": "authorized", "reference": "ref-2", "amount": money()}
RIGHT = document("authorized")
HALF = document("authorized", amount=money(3_200))


@pytest.mark.parametrize(
    "odd", [ODD, "<html>Bad gateway</html>", document("authorized", amount=money("6400"))]
)
def test_after_an_unusable_response_the_effect_is_looked_up(odd: Any) -> None:
    provider = Odd([odd, RIGHT], [RIGHT])
    assert ask(provider) == card.Authorized("ref-1", TOTAL)
    assert provider.puts == 1


def test_an_effect_not_found_by_key_is_requested_again() -> None:
    provider = Odd([ODD, RIGHT], [MISSING])
    assert ask(provider) == card.Authorized("ref-1", TOTAL)
    assert provider.puts == 2


def test_a_lookup_result_of_another_payment_is_rejected() -> None:
    response = ask(Odd([None], [ODD]))
    assert isinstance(response, card.UnusableResponse) and "another transaction" in response.detail


def test_a_lookup_with_another_amount_is_given_to_the_decider() -> None:
    assert ask(Odd([None], [HALF])) == card.Authorized("ref-1", Money(**money(3_200)))


def test_a_timeout_after_an_unusable_response_is_unavailability() -> None:
    with pytest.raises(EffectUnavailable):
        ask(Odd([ODD], [ODD, None]))


def test_unusable_responses_do_not_open_the_circuit() -> None:
    async def go() -> list[Any]:
        odd = effect_handler(Odd([ODD], [ODD]), lambda: NOW)  # type: ignore[arg-type]
        service = payment_service()
        effects = EffectRunner(service, odd)
        message = pending(service, payments.Authorize(order_id=UUID(int=7)))
        return [await effects.run(message, AUTHORIZE) for _ in range(20)]

    assert all(isinstance(response, card.UnusableResponse) for response in virtual_time.play(go()))
