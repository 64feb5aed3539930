"""Given-when-then tests of the account rules."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.core.decision import Context, OutOfTurn
from contracts import users
from contracts.roles import Role
from user_svc.accounts import decider
from user_svc.accounts.aggregates import USERS
from user_svc.accounts.user import (
    ADDRESSES_MAX,
    MAIL_INTERVAL_MIN,
    Abandon,
    AccountRule,
    AccountRuleViolation,
    AccountStatus,
    AddAddress,
    Address,
    ChangeProfile,
    EndAllLogins,
    Erase,
    Prove,
    Register,
    RegisterAgain,
    RemoveAddress,
    RequestProof,
    RequestReset,
    SetPassword,
    User,
)

ADA, BOB = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
REGISTER = Register(ADA, "ada@example.org", "Ada", "$argon2id$…", NOW)
PROVED: list[Any] = [REGISTER, Prove()]
HOME = Address("home", "Ada Lovelace", "12 St James's Square", "SW1Y 4JH", "London", "GB")


def access_changed(version: int) -> users.AccessChanged:
    return users.AccessChanged(user_id=ADA, version=version)


def play(history: Iterable[Any]) -> tuple[User, list[Any]]:
    user = User()
    published_messages: list[Any] = []
    for asked in history:
        decision = decider.decide(user, asked, Context())
        user = USERS.codec.load(USERS.codec.dump(decision.state))  # the codec's round trip keeps the state
        assert user == decision.state
        published_messages += decision.emits
    return user, published_messages


def refused(history: list[Any]) -> AccountRule:
    user, _ = play(history[:-1])
    with pytest.raises(AccountRuleViolation) as caught:
        decider.decide(user, history[-1], Context())
    return caught.value.reason


def test_registering_emits_only_the_id_of_an_unverified_account() -> None:
    user, published_messages = play([REGISTER])
    assert user == User(
        AccountStatus.UNPROVED,
        ADA,
        "ada@example.org",
        "Ada",
        "$argon2id$…",
        (),
        created_at=NOW,
        proof_mail_at=NOW,
    )
    assert published_messages == [users.UserRegistered(user_id=ADA)]


def test_an_id_is_registered_once() -> None:
    assert refused([REGISTER, REGISTER]) is AccountRule.ID_IN_USE
    assert refused([REGISTER, replace(REGISTER, email="bob@example.org")]) is AccountRule.ID_IN_USE


def test_an_erased_id_is_never_used_again() -> None:
    assert refused([REGISTER, Erase(), REGISTER]) is AccountRule.ID_IN_USE


def test_an_abandoned_id_can_no_longer_be_registered() -> None:
    assert refused([Abandon(), REGISTER]) is AccountRule.ID_IN_USE


def test_only_an_unverified_account_can_be_abandoned() -> None:
    assert play([Abandon(), Abandon()]) == (User(AccountStatus.ERASED), [])
    assert play([REGISTER, Abandon()]) == play([REGISTER, Erase()])
    assert play([*PROVED, Abandon()]) == play(PROVED)
    assert play([REGISTER, Erase(), Abandon()]) == play([REGISTER, Erase()])


def test_an_address_is_proved_once() -> None:
    user, published_messages = play([*PROVED, Prove()])
    assert user.status is AccountStatus.ACTIVE
    assert published_messages == [users.UserRegistered(user_id=ADA), users.AddressProved(user_id=ADA)]


@pytest.mark.parametrize(
    ("history", "ask", "mail"),
    [
        ([REGISTER], RequestProof, users.AddressProofRequested),
        ([REGISTER], RequestReset, users.PasswordResetRequested),
        ([REGISTER, Prove()], RequestReset, users.PasswordResetRequested),
        ([REGISTER, Prove()], RegisterAgain, users.RegisteredAgain),
    ],
)
def test_each_kind_of_mail_is_requested_once_a_minute(history: list[Any], ask: Any, mail: Any) -> None:
    minute = timedelta(minutes=1)
    asked = [ask(UUID(int=n), NOW + n * minute / 4) for n in range(4, 11)]
    _, published_messages = play([*history, *asked])
    assert [event for event in published_messages if isinstance(event, mail)] == [
        mail(request_id=UUID(int=4), user_id=ADA),
        mail(request_id=UUID(int=8), user_id=ADA),
    ]


def test_the_welcome_mail_counts_as_the_first_proof_mail() -> None:
    assert play([REGISTER, RequestProof(BOB, NOW + MAIL_INTERVAL_MIN / 2)]) == play([REGISTER])


@pytest.mark.parametrize("ask", [RequestProof, RequestReset, RegisterAgain])
@pytest.mark.parametrize("history", [[], [REGISTER, Erase()], [Abandon()]])
def test_without_an_account_no_mail_is_requested(history: list[Any], ask: Any) -> None:
    assert play([*history, ask(BOB, NOW + MAIL_INTERVAL_MIN)]) == play(history)


def test_an_unverified_account_gets_verification_mails_only() -> None:
    later = NOW + MAIL_INTERVAL_MIN
    assert play([*PROVED, RequestProof(BOB, later)]) == play(PROVED)
    assert play([REGISTER, RegisterAgain(BOB, later)]) == play([REGISTER])


def test_a_password_change_ends_all_logins_and_is_announced() -> None:
    user, published_messages = play([*PROVED, SetPassword("new hash", 0, BOB)])
    assert (user.password_hash, user.epoch) == ("new hash", 1)
    assert published_messages[-1] == users.PasswordChanged(request_id=BOB, user_id=ADA)


def test_an_outdated_password_change_is_rejected() -> None:
    assert (
        refused([*PROVED, SetPassword("new", 0, BOB), SetPassword("late", 0, BOB)]) is AccountRule.OUT_OF_DATE
    )
    assert refused([*PROVED, EndAllLogins(), SetPassword("late", 0, BOB)]) is AccountRule.OUT_OF_DATE


def test_a_password_reset_by_mail_verifies_the_address() -> None:
    user, published_messages = play([REGISTER, SetPassword("new hash", 0, BOB)])
    assert user.status is AccountStatus.ACTIVE
    changed = users.PasswordChanged(request_id=BOB, user_id=ADA)
    assert published_messages[1:] == [access_changed(1), users.AddressProved(user_id=ADA), changed]


def test_ending_all_logins_requests_no_mail() -> None:
    user, published_messages = play([*PROVED, EndAllLogins()])
    assert (user.epoch, published_messages) == (1, [*play(PROVED)[1], access_changed(1)])


STAFF: dict[str, Any] = {"user_id": ADA, "role": Role.STAFF}


def test_granting_and_revoking_a_role_emit_events() -> None:
    user, published_messages = play([*PROVED, users.GrantRole(**STAFF), users.GrantRole(**STAFF)])
    assert user.roles == (Role.CUSTOMER, Role.STAFF)
    assert published_messages[2:] == [
        access_changed(1),
        *[users.RoleGranted(**STAFF)] * 2,
    ]  # the second command changes nothing
    user, published_messages = play(
        [*PROVED, users.GrantRole(**STAFF), users.RevokeRole(**STAFF), users.RevokeRole(**STAFF)]
    )
    assert user.roles == (Role.CUSTOMER,)
    assert published_messages[4:] == [access_changed(2), *[users.RoleRevoked(**STAFF)] * 2]


def test_every_account_keeps_the_customer_role() -> None:
    user, published_messages = play([*PROVED, users.GrantRole(user_id=ADA, role=Role.CUSTOMER)])
    assert (user, published_messages[-1]) == (
        play(PROVED)[0],
        users.RoleGranted(user_id=ADA, role=Role.CUSTOMER),
    )
    user, published_messages = play([*PROVED, users.RevokeRole(user_id=ADA, role=Role.CUSTOMER)])
    assert user.roles == (Role.CUSTOMER,)
    assert isinstance(published_messages[-1], users.UserCommandRefused)


@pytest.mark.parametrize("asked", [users.GrantRole(**STAFF), users.RevokeRole(**STAFF)])
@pytest.mark.parametrize("history", [[], [REGISTER, Erase()]])
def test_without_an_account_there_are_no_roles(history: list[Any], asked: Any) -> None:
    user, published_messages = play([*history, asked])
    assert user == play(history)[0]
    assert published_messages[-1] == users.UserCommandRefused(user_id=ADA, detail="there is no such account")


def test_a_name_change_emits_nothing() -> None:
    user, published_messages = play([*PROVED, ChangeProfile("Augusta")])
    assert user.name == "Augusta"
    assert published_messages == play(PROVED)[1]


def test_addresses_are_kept_in_order_one_for_each_label() -> None:
    work, new_home = replace(HOME, label="work"), replace(HOME, street="Elsewhere 1")
    user, _ = play([*PROVED, AddAddress(HOME), AddAddress(work), AddAddress(new_home)])
    assert user.addresses == (work, new_home)


def test_adding_the_same_address_twice_is_one_address() -> None:
    assert play([*PROVED, AddAddress(HOME), AddAddress(HOME)]) == play([*PROVED, AddAddress(HOME)])


def test_ten_addresses_fit_and_the_tenth_is_replaceable() -> None:
    full: list[Any] = [
        *PROVED,
        *(AddAddress(replace(HOME, label=str(number))) for number in range(ADDRESSES_MAX)),
    ]
    assert refused([*full, AddAddress(HOME)]) is AccountRule.ADDRESSES_FULL
    user, _ = play([*full, AddAddress(replace(HOME, label="3", city="Paris"))])
    assert len(user.addresses) == ADDRESSES_MAX


def test_an_address_can_be_removed_by_its_label() -> None:
    assert play([*PROVED, AddAddress(HOME), RemoveAddress("home")])[0].addresses == ()
    assert refused([*PROVED, AddAddress(HOME), RemoveAddress("work")]) is AccountRule.NO_SUCH_ADDRESS


def test_erasure_keeps_only_the_id_and_emits_once() -> None:
    user, published_messages = play(
        [*PROVED, AddAddress(HOME), users.GrantRole(**STAFF), EndAllLogins(), Erase(), Erase()]
    )
    assert user == User(status=AccountStatus.ERASED, user_id=ADA, access_version=3)
    assert published_messages[-3:] == [access_changed(2), access_changed(3), users.UserErased(user_id=ADA)]


@pytest.mark.parametrize(
    "asked", [ChangeProfile("X"), AddAddress(HOME), RemoveAddress("home"), EndAllLogins(), Prove()]
)
@pytest.mark.parametrize("history", [[], [REGISTER, Erase()]])
def test_without_an_account_nothing_can_be_changed(history: list[Any], asked: Any) -> None:
    assert refused([*history, asked]) is AccountRule.NOT_ACTIVE


def test_an_unregistered_user_cannot_be_erased() -> None:
    assert refused([Erase()]) is AccountRule.NOT_ACTIVE


def test_a_message_without_a_rule_is_out_of_turn() -> None:
    with pytest.raises(OutOfTurn):
        decider.decide(User(), "hello", Context())  # type: ignore[arg-type]
