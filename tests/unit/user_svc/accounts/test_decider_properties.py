"""An account begins once, ends once and stays ended, whatever commands arrive."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chassis.core.decision import Context
from contracts import users
from contracts.values import NIL_UUID
from tests.unit.user_svc.accounts.test_decider import ADA, BOB, HOME, NOW, STAFF
from user_svc.accounts import decider
from user_svc.accounts.user import (
    Abandon,
    AccountRuleViolation,
    AccountStatus,
    AddAddress,
    ChangeProfile,
    EndAllLogins,
    Erase,
    Prove,
    Register,
    RemoveAddress,
    RequestReset,
    SetPassword,
    User,
)

anything = st.one_of(
    st.builds(
        Register, st.just(ADA), st.just("ada@example.org"), st.just("Ada"), st.just("hash"), st.just(NOW)
    ),
    st.builds(ChangeProfile, st.sampled_from(["Ada", "Bob"])),
    st.builds(AddAddress, st.builds(replace, st.just(HOME), label=st.sampled_from("abc"))),
    st.builds(RemoveAddress, st.sampled_from("abc")),
    st.builds(SetPassword, st.just("hash"), st.integers(0, 3), st.just(BOB)),
    st.builds(RequestReset, st.just(BOB), st.just(NOW)),
    st.sampled_from(
        [Abandon(), Prove(), EndAllLogins(), Erase(), users.GrantRole(**STAFF), users.RevokeRole(**STAFF)]
    ),
)


@given(st.lists(anything, max_size=30))
def test_an_account_begins_and_ends_once(history: list[Any]) -> None:
    user, ended = User(), False
    published_messages: list[Any] = []
    for asked in history:
        try:
            decision = decider.decide(user, asked, Context())
        except AccountRuleViolation:
            continue
        assert decision.state.epoch >= user.epoch or decision.state.status is AccountStatus.ERASED
        assert decision.state.access_version >= user.access_version
        user, published_messages = (
            decision.state,
            [*published_messages, *(type(event) for event in decision.emits)],
        )
        assert not ended or user.status is AccountStatus.ERASED
        ended = user.status is AccountStatus.ERASED
    milestones = [
        event
        for event in published_messages
        if event in (users.UserRegistered, users.AddressProved, users.UserErased)
    ]
    whole = [users.UserRegistered, users.AddressProved, users.UserErased]
    assert milestones in (whole[:0], whole[:1], whole[:2], whole, [whole[0], whole[2]])
    if ended:
        assert replace(user, user_id=NIL_UUID, access_version=0) == User(status=AccountStatus.ERASED)
