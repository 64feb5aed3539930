"""Stories of accounts, claims and sessions."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.decision import OutOfTurn
from contracts import users
from contracts.values import NOBODY
from user_svc import claim, decider, session
from user_svc.claim import Claim, Hold, LetGo, Taken, normalised
from user_svc.service import EMAILS, SESSIONS, USERS
from user_svc.session import End, Open, Session
from user_svc.user import (
    ADDRESSES_MAX,
    Abandon,
    AddAddress,
    Address,
    Asked,
    ChangeProfile,
    Erase,
    Reason,
    Refused,
    Register,
    RemoveAddress,
    Status,
    User,
)

ADA, BOB = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
REGISTER = Register(ADA, "ada@example.org", "Ada", "$argon2id$…", NOW)
HOME = Address("home", "Ada Lovelace", "12 St James's Square", "SW1Y 4JH", "London", "GB")


def play(history: Iterable[Asked]) -> tuple[User, list[Any]]:
    user = User()
    said: list[Any] = []
    for asked in history:
        decision = decider.decide(user, asked)
        user = USERS.codec.load(USERS.codec.dump(decision.state))  # what is kept is what comes back
        assert user == decision.state
        said += decision.says
    return user, said


def refused(history: list[Asked]) -> Reason:
    user, _ = play(history[:-1])
    with pytest.raises(Refused) as caught:
        decider.decide(user, history[-1])
    return caught.value.reason


def test_registering_makes_an_account_and_tells_only_the_id() -> None:
    user, said = play([REGISTER])
    assert user == User(Status.ACTIVE, ADA, "ada@example.org", "Ada", "$argon2id$…", (), NOW)
    assert said == [users.UserRegistered(user_id=ADA)]


def test_an_id_is_registered_once() -> None:
    assert refused([REGISTER, REGISTER]) is Reason.ID_IN_USE
    assert refused([REGISTER, replace(REGISTER, email="bob@example.org")]) is Reason.ID_IN_USE


def test_an_erased_id_is_never_used_again() -> None:
    assert refused([REGISTER, Erase(), REGISTER]) is Reason.ID_IN_USE


def test_an_abandoned_id_can_no_longer_be_registered() -> None:
    assert refused([Abandon(), REGISTER]) is Reason.ID_IN_USE


def test_abandoning_says_nothing_and_harms_no_account() -> None:
    assert play([Abandon(), Abandon()]) == (User(Status.ERASED), [])
    assert play([REGISTER, Abandon()]) == play([REGISTER])
    assert play([REGISTER, Erase(), Abandon()]) == play([REGISTER, Erase()])


def test_the_name_can_be_changed_and_nobody_is_told() -> None:
    user, said = play([REGISTER, ChangeProfile("Augusta")])
    assert user.name == "Augusta"
    assert len(said) == 1


def test_addresses_are_kept_in_order_one_for_each_label() -> None:
    work, new_home = replace(HOME, label="work"), replace(HOME, street="Elsewhere 1")
    user, _ = play([REGISTER, AddAddress(HOME), AddAddress(work), AddAddress(new_home)])
    assert user.addresses == (work, new_home)


def test_adding_the_same_address_twice_is_one_address() -> None:
    assert play([REGISTER, AddAddress(HOME), AddAddress(HOME)]) == play([REGISTER, AddAddress(HOME)])


def test_there_is_room_for_ten_addresses_and_the_tenth_may_still_be_replaced() -> None:
    full: list[Asked] = [REGISTER, *(AddAddress(replace(HOME, label=str(number))) for number in range(ADDRESSES_MAX))]
    assert refused([*full, AddAddress(HOME)]) is Reason.ADDRESSES_FULL
    user, _ = play([*full, AddAddress(replace(HOME, label="3", city="Paris"))])
    assert len(user.addresses) == ADDRESSES_MAX


def test_an_address_can_be_removed_by_its_label() -> None:
    assert play([REGISTER, AddAddress(HOME), RemoveAddress("home")])[0].addresses == ()
    assert refused([REGISTER, AddAddress(HOME), RemoveAddress("work")]) is Reason.NO_SUCH_ADDRESS


def test_erasing_leaves_nothing_but_the_id_and_is_told_once() -> None:
    user, said = play([REGISTER, AddAddress(HOME), Erase(), Erase()])
    assert user == User(status=Status.ERASED, user_id=ADA)
    assert said == [users.UserRegistered(user_id=ADA), users.UserErased(user_id=ADA)]


@pytest.mark.parametrize("asked", [ChangeProfile("X"), AddAddress(HOME), RemoveAddress("home")])
@pytest.mark.parametrize("history", [[], [REGISTER, Erase()]])
def test_without_an_account_nothing_can_be_changed(history: list[Asked], asked: Asked) -> None:
    assert refused([*history, asked]) is Reason.NOT_ACTIVE


def test_nobody_can_be_erased_who_never_registered() -> None:
    assert refused([Erase()]) is Reason.NOT_ACTIVE


def test_a_message_without_a_rule_is_out_of_turn() -> None:
    with pytest.raises(OutOfTurn):
        decider.decide(User(), "hello")  # type: ignore[arg-type]


anything = st.one_of(
    st.builds(Register, st.just(ADA), st.just("ada@example.org"), st.just("Ada"), st.just("hash"), st.just(NOW)),
    st.builds(ChangeProfile, st.sampled_from(["Ada", "Bob"])),
    st.builds(AddAddress, st.builds(replace, st.just(HOME), label=st.sampled_from("abc"))),
    st.builds(RemoveAddress, st.sampled_from("abc")),
    st.just(Abandon()),
    st.just(Erase()),
)


@given(st.lists(anything, max_size=30))
def test_whatever_is_asked_an_account_begins_once_ends_once_and_stays_ended(history: list[Asked]) -> None:
    user, ended = User(), False
    said: list[Any] = []
    for asked in history:
        try:
            decision = decider.decide(user, asked)
        except Refused:
            continue
        user, said = decision.state, [*said, *(type(event) for event in decision.says)]
        assert not ended or user.status is Status.ERASED
        ended = user.status is Status.ERASED
    assert said in ([], [users.UserRegistered], [users.UserRegistered, users.UserErased])
    if ended:
        assert replace(user, user_id=NOBODY) == User(status=Status.ERASED)


# an address belongs to one


def holds(*history: Hold | LetGo) -> Claim:
    state = Claim()
    for asked in history:
        state = EMAILS.codec.load(EMAILS.codec.dump(claim.decide(state, asked).state))
    return state


def test_a_free_address_can_be_claimed_and_let_go() -> None:
    assert holds(Hold(ADA, NOW)) == Claim(ADA, NOW)
    assert holds(Hold(ADA, NOW), LetGo(ADA)) == Claim()


def test_a_claimed_address_is_taken_for_others() -> None:
    with pytest.raises(Taken):
        holds(Hold(ADA, NOW), Hold(BOB, NOW))


def test_claiming_again_renews_the_claim() -> None:
    later = NOW + timedelta(seconds=50)
    assert holds(Hold(ADA, NOW), Hold(ADA, later)) == Claim(ADA, later)


def test_only_the_claim_that_was_seen_to_be_void_is_taken_over() -> None:
    assert holds(Hold(ADA, NOW), Hold(BOB, NOW, instead_of=ADA)) == Claim(BOB, NOW)
    with pytest.raises(Taken):
        holds(Hold(ADA, NOW), Hold(BOB, NOW, instead_of=UUID(int=3)))


def test_nobody_lets_go_what_another_holds() -> None:
    assert holds(Hold(ADA, NOW), LetGo(BOB)) == Claim(ADA, NOW)


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


# a session begins and ends once


def test_a_session_is_valid_until_its_end_or_its_time() -> None:
    opened = session.decide(Session(), Open(ADA, NOW)).state
    assert SESSIONS.codec.load(SESSIONS.codec.dump(opened)) == opened
    assert opened.valid(NOW - timedelta(seconds=1))
    assert not opened.valid(NOW)
    ended = session.decide(opened, End()).state
    assert not ended.valid(NOW - timedelta(seconds=1))
    assert ended.user_id == NOBODY
    assert session.decide(ended, End()).state == ended


def test_a_token_opens_one_session() -> None:
    opened = session.decide(Session(), Open(ADA, NOW)).state
    with pytest.raises(OutOfTurn):
        session.decide(opened, Open(BOB, NOW))
