"""Parsing of provider responses: each matches the request exactly or is unusable, and no response raises."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.circuit_breaker import CircuitBreaker
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
QUESTIONS: Mapping[str, tuple[CardRequest, Any]] = {
    "authorized": (AUTHORIZE, card.Authorized("ref-1", TOTAL)),
    "captured": (CAPTURE, card.Captured("ref-1", TOTAL)),
    "voided": (VOID, card.Voided("ref-1", TOTAL)),
    "refunded": (REFUND, card.Refunded("ref-1", TOTAL)),
}
MISSING = "<missing>"


def document(kind: str, /, **but: Any) -> dict[str, Any]:
    question, _ = QUESTIONS[kind]
    whole = {
        "key": question.key,
        "outcome": kind,
        "reference": "ref-1",
        "amount": TOTAL.model_dump(),
        "detail": "",
    }
    return {name: value for name, value in (whole | but).items() if value != MISSING}


def money(amount_minor: Any = 6_400, currency: Any = "EUR") -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency}


@pytest.mark.parametrize("outcome", QUESTIONS)
def test_an_answer_as_documented_is_read(outcome: str) -> None:
    question, answer = QUESTIONS[outcome]
    assert parse_response(question, document(outcome)) == answer
    assert parse_response(question, document(outcome, risk={"score": 3})) == answer, (
        "unknown fields are ignored"
    )


@pytest.mark.parametrize("outcome", QUESTIONS)
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
def test_any_other_shape_is_unusable_and_says_so_shortly(outcome: str, wrong: dict[str, Any]) -> None:
    question, _ = QUESTIONS[outcome]
    answer = parse_response(question, document(outcome, **wrong))
    assert isinstance(answer, card.UnusableResponse) and answer.key == question.key
    assert "card provider" in answer.detail and len(answer.detail) < 500


@pytest.mark.parametrize("outcome", QUESTIONS)
@pytest.mark.parametrize("other", QUESTIONS)
def test_the_outcome_of_another_effect_is_unusable(outcome: str, other: str) -> None:
    question, _ = QUESTIONS[outcome]
    answer = parse_response(question, document(outcome, outcome=other))
    assert isinstance(answer, card.UnusableResponse) is (other != outcome)


def test_a_refusal_is_read_without_trusting_its_words() -> None:
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


@given(outcome=st.sampled_from([*QUESTIONS]), changed=_CHANGED, whole=st.none() | _JSON)
def test_whatever_comes_is_what_was_documented_or_unusable(
    outcome: str, changed: dict[str, Any], whole: Any
) -> None:
    question, right = QUESTIONS[outcome]
    said = document(outcome, **changed) if whole is None else whole
    answer = parse_response(question, said)
    assert isinstance(answer, card.UnusableResponse | type(right))
    if isinstance(answer, card.UnusableResponse):
        assert answer.detail
    else:
        assert isinstance(said, dict) and said["key"] == question.key
        assert answer.amount.model_dump() == said["amount"] and answer.reference == said["reference"]


# through the whole effect handler


class Odd:
    """Returns these responses in turn, the last one repeatedly. None: no response."""

    def __init__(self, put: list[Any], found: list[Any]) -> None:
        self._put = put
        self._found = found
        self.puts = 0

    async def authorize(self, question: card.AuthorizeCard) -> object:
        self.puts += 1
        return self._next(self._put)

    capture = void = refund = authorize

    async def find(self, key: str) -> object:
        return self._next(self._found)

    def _next(self, answers: list[Any]) -> Any:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            raise ProviderUnavailable("503")
        return None if answer == MISSING else answer


def ask(provider: Odd, question: CardRequest = AUTHORIZE) -> Any:
    return virtual_time.play(effect_handler(provider, lambda: NOW)(question, NOW))  # type: ignore[arg-type]


ODD = {"key": "another:authorize", "outcome": "authorized", "reference": "ref-2", "amount": money()}
RIGHT = document("authorized")
HALF = document("authorized", amount=money(3_200))


@pytest.mark.parametrize(
    "odd", [ODD, "<html>Bad gateway</html>", document("authorized", amount=money("6400"))]
)
def test_after_one_unusable_answer_the_effect_is_looked_up_and_not_asked_again(odd: Any) -> None:
    provider = Odd([odd, RIGHT], [RIGHT])
    assert ask(provider) == card.Authorized("ref-1", TOTAL)
    assert provider.puts == 1


def test_if_nothing_was_done_under_our_key_it_is_asked_again() -> None:
    provider = Odd([ODD, RIGHT], [MISSING])
    assert ask(provider) == card.Authorized("ref-1", TOTAL)
    assert provider.puts == 2


def test_a_lookup_that_finds_the_transaction_of_another_payment_is_not_believed() -> None:
    answer = ask(Odd([None], [ODD]))
    assert isinstance(answer, card.UnusableResponse) and "another transaction" in answer.detail


def test_a_lookup_that_finds_another_amount_hands_it_to_the_decider() -> None:
    assert ask(Odd([None], [HALF])) == card.Authorized("ref-1", Money(**money(3_200)))


def test_silence_after_an_unusable_answer_is_no_answer_at_all() -> None:
    with pytest.raises(EffectUnavailable):
        ask(Odd([ODD], [ODD, None]))


def test_answers_that_stay_unusable_concern_one_payment_and_open_no_breaker() -> None:
    async def go() -> list[Any]:
        odd = effect_handler(Odd([ODD], [ODD]), lambda: NOW)  # type: ignore[arg-type]
        service = payment_service()
        effects = EffectRunner(service, odd, CircuitBreaker(probe_s=1))
        message = pending(service, payments.Authorize(order_id=UUID(int=7)))
        return [await effects.run(message, AUTHORIZE) for _ in range(20)]

    assert all(isinstance(answer, card.UnusableResponse) for answer in virtual_time.play(go()))
