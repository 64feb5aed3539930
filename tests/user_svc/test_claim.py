"""An e-mail address belongs to one account, in one spelling."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.notifications import MailKind
from user_svc import claim
from user_svc.claim import Claim, Hold, LetGo, MailAsked, Taken, normalised
from user_svc.service import EMAILS

ADA, BOB = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
WELCOME = MailAsked(MailKind.USER_REGISTERED, NOW)


def holds(*history: Hold | LetGo) -> Claim:
    state = Claim()
    for asked in history:
        state = EMAILS.codec.load(EMAILS.codec.dump(claim.decide(state, asked).state))
    return state


def test_a_free_address_can_be_claimed_and_let_go() -> None:
    assert holds(Hold(ADA, NOW)) == Claim(ADA, NOW, (WELCOME,))
    assert holds(Hold(ADA, NOW), LetGo(ADA)) == Claim()


def test_a_claimed_address_is_taken_for_others() -> None:
    with pytest.raises(Taken):
        holds(Hold(ADA, NOW), Hold(BOB, NOW))


def test_claiming_again_renews_the_claim() -> None:
    later = NOW + timedelta(seconds=50)
    assert holds(Hold(ADA, NOW), Hold(ADA, later)) == Claim(ADA, later, (WELCOME,))


def test_only_the_claim_that_was_seen_to_be_void_is_taken_over() -> None:
    assert holds(Hold(ADA, NOW), Hold(BOB, NOW, instead_of=ADA)) == Claim(BOB, NOW, (WELCOME, WELCOME))
    with pytest.raises(Taken):
        holds(Hold(ADA, NOW), Hold(BOB, NOW, instead_of=UUID(int=3)))


def test_nobody_lets_go_what_another_holds() -> None:
    assert holds(Hold(ADA, NOW), LetGo(BOB)) == Claim(ADA, NOW, (WELCOME,))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("  Ada@Example.ORG ", "ada@example.org"),
        ("ａｄａ＠example.org", "ada@example.org"),
        ("ada+shop@xn--mnchen-3ya.de", "ada+shop@xn--mnchen-3ya.de"),
    ],
)
def test_spellings_of_one_address_are_one_address(typed: str, meant: str) -> None:
    assert normalised(typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@localhost",
        "ada@-example.org",
        "ada@example..org",
        "ada smith@example.org",
        "ada@example.org\r\nBcc: all@example.org",
        "ada\x00@example.org",
        "аda@example.org",  # the first letter is Cyrillic
        "straße@example.org",
        f"{'a' * 65}@example.org",
        f"ada@{'a.' * 130}org",
    ],
)
def test_what_is_no_plain_address_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"address|ASCII"):
        normalised(typed)


@given(st.text(max_size=60))
def test_a_normal_form_stays_as_it_is(typed: str) -> None:
    try:
        form = normalised(typed)
    except ValueError:
        return
    assert normalised(form) == form
