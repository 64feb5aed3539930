"""Refresh tokens: concurrent refreshes and lost responses never log a client out,
and reuse by a thief is detected.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chassis.core.decision import Context, OutOfTurn
from contracts.values import NIL_UUID
from user_svc.accounts.aggregates import REFRESH_TOKEN_FAMILIES
from user_svc.auth import refresh_tokens
from user_svc.auth.refresh_tokens import (
    AGE_MAX,
    IDLE_MAX,
    TOKENS_MAX,
    EndFamily,
    FamilyStatus,
    LoginNotActive,
    OpenFamily,
    RefreshTokenFamily,
    RotateToken,
    TooManyRefreshes,
)

ADA, BOB = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
GRACE = timedelta(seconds=10)
OPEN = OpenFamily(ADA, 3, "lineage", "t0", NOW)


def use(token: str, next_: str, after_s: float, lineage: str = "lineage") -> RotateToken:
    return RotateToken(lineage, token, next_, NOW + timedelta(seconds=after_s), GRACE)


def play(*history: Any) -> RefreshTokenFamily:
    state = RefreshTokenFamily()
    for asked in history:
        decision = refresh_tokens.decide(state, asked, Context())
        state = REFRESH_TOKEN_FAMILIES.codec.load(REFRESH_TOKEN_FAMILIES.codec.dump(decision.state))
        assert state == decision.state
        assert not decision.emits
    return state


def test_a_login_has_one_token_and_an_end() -> None:
    opened = play(OPEN)
    assert (opened.user_id, opened.epoch, opened.siblings) == (ADA, 3, ("t0",))
    assert opened.is_open(NOW + IDLE_MAX - timedelta(seconds=1))
    assert not opened.is_open(NOW + IDLE_MAX)
    ended = play(OPEN, EndFamily(), EndFamily())
    assert ended == RefreshTokenFamily(FamilyStatus.ENDED, ADA)
    assert not ended.is_open(NOW)
    assert not RefreshTokenFamily().is_open(NOW)


def test_a_login_begins_once_before_it_ends() -> None:
    with pytest.raises(OutOfTurn):
        play(OPEN, replace(OPEN, user_id=BOB))
    with pytest.raises(OutOfTurn):
        play(EndFamily())


def test_each_refresh_token_is_replaced_by_the_next() -> None:
    assert play(OPEN, use("t0", "t1", 60), use("t1", "t2", 660)).siblings == ("t2",)


def test_a_reused_token_ends_the_login_for_all_holders() -> None:
    ended = play(OPEN, use("t0", "t1", 60), use("t0", "x", 70))
    assert ended == RefreshTokenFamily(FamilyStatus.ENDED, ADA)
    with pytest.raises(LoginNotActive):
        refresh_tokens.decide(ended, use("t1", "t2", 71), Context())


def test_a_token_used_twice_at_once_gives_two_valid_siblings() -> None:
    for kept in ("t1", "t2"):
        both = play(OPEN, use("t0", "t1", 60), use("t0", "t2", 69.9))
        assert both.siblings == ("t1", "t2")
        assert refresh_tokens.decide(both, use(kept, "t3", 600), Context()).state.siblings == ("t3",)


def test_using_one_sibling_starts_the_grace_of_the_other() -> None:
    before = [OPEN, use("t0", "t1", 60), use("t0", "t2", 61), use("t1", "t3", 600)]
    assert play(*before, use("t2", "t4", 609)).siblings == ("t3", "t4")
    assert play(*before, use("t2", "t4", 610)).status is FamilyStatus.ENDED


def test_the_grace_period_begins_with_the_first_use() -> None:
    assert (
        play(OPEN, use("t0", "t1", 0), use("t0", "t2", 6), use("t0", "t3", 12)).status is FamilyStatus.ENDED
    )


def test_the_login_id_alone_cannot_end_the_login() -> None:
    with pytest.raises(LoginNotActive):
        play(OPEN, use("guess", "x", 60, lineage="guess"))


def test_an_unused_login_ends() -> None:
    with pytest.raises(LoginNotActive):
        play(OPEN, use("t0", "t1", IDLE_MAX.total_seconds()))


def test_a_constantly_refreshed_login_ends() -> None:
    interval = IDLE_MAX.total_seconds() - 1
    uses = [
        use(f"t{n}", f"t{n + 1}", (n + 1) * interval) for n in range(int(AGE_MAX.total_seconds() // interval))
    ]
    used = play(OPEN, *uses)
    assert used.expires_at == NOW + AGE_MAX
    with pytest.raises(LoginNotActive):
        refresh_tokens.decide(used, use(used.siblings[0], "late", AGE_MAX.total_seconds()), Context())


def test_stored_tokens_are_bounded() -> None:
    state = play(OPEN, use("t0", "n0", 0))
    with pytest.raises(TooManyRefreshes):
        for number in range(1, TOKENS_MAX + 1):
            state = refresh_tokens.decide(state, use("t0", f"n{number}", number / 100), Context()).state
    assert len(state.siblings) + len(state.used) <= TOKENS_MAX
    assert len(refresh_tokens.decide(state, use("n0", "n", 60), Context()).state.used) <= TOKENS_MAX
    assert state.status is FamilyStatus.OPEN


class OneClient(RuleBasedStateMachine):
    """A client with any number of concurrent requests, whose requests and responses are lost or reordered.

    Within the grace period it retries until it gets a response, and no request is in flight for longer. It
    stores a response only if it still holds the token that it sent.
    """

    @initialize()
    def log_in(self) -> None:
        self.state = play(OPEN)
        self.held = "t0"
        self.given = 0
        self.now = NOW
        self.on_the_way: list[str] = []
        self.first_asked: dict[str, datetime] = {}

    @rule(times=st.integers(1, 3))
    def ask(self, times: int) -> None:
        if len(self.on_the_way) < 5:
            self.first_asked.setdefault(self.held, self.now)
            self.on_the_way += [self.held] * times

    @precondition(lambda self: self.on_the_way)
    @rule(which=st.integers(0, 9), lost=st.booleans())
    def arrive(self, which: int, lost: bool) -> None:
        token = self.on_the_way.pop(which % len(self.on_the_way))
        self.given += 1
        next_ = f"n{self.given}"
        try:
            self.state = refresh_tokens.decide(
                self.state, RotateToken("lineage", token, next_, self.now, GRACE), Context()
            ).state
        except TooManyRefreshes:
            return
        if not lost and self.held == token:
            self.held = next_

    @rule(seconds=st.floats(0.1, 600))
    def time_passes(self, seconds: float) -> None:
        end = self.now + timedelta(seconds=seconds)
        while late := [token for token in self.on_the_way if end - self.first_asked[token] >= GRACE]:
            self.arrive(self.on_the_way.index(late[0]), False)
        if self.held in self.first_asked and end - self.first_asked[self.held] >= GRACE:
            self.ask(1)
            self.arrive(len(self.on_the_way) - 1, False)
        self.now = end

    @invariant()
    def is_logged_in(self) -> None:
        assert self.state.status is FamilyStatus.OPEN


TestOneClient = OneClient.TestCase
TestOneClient.settings = settings(max_examples=60, deadline=None)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1200)), min_size=1, max_size=12), st.floats(10, 1000))
def test_reusing_a_token_after_the_grace_ends_the_login(
    uses: list[tuple[bool, float]], late_s: float
) -> None:
    """Whatever the owner has done since, also with siblings."""
    state = play(OPEN, use("t0", "n0", 0))
    held = "n0"
    at = 0.0
    number = 0
    for twice, pause_s in uses:
        at, number = at + pause_s, number + 1
        state = refresh_tokens.decide(state, use(held, f"n{number}", at), Context()).state
        if twice:
            state = refresh_tokens.decide(state, use(held, f"s{number}", at), Context()).state
        held = f"n{number}"
    stolen = refresh_tokens.decide(state, use("t0", "x", max(at, late_s)), Context()).state
    assert stolen == RefreshTokenFamily(FamilyStatus.ENDED, ADA)
    assert stolen.user_id != NIL_UUID


@given(st.floats(0, 9.9), st.floats(10, 1000), st.floats(10, 1000), st.booleans())
def test_a_thief_within_the_grace_period_cannot_keep_the_login(
    theft_s: float, first_s: float, second_s: float, user_first: bool
) -> None:
    state = play(OPEN, use("t0", "owner", 0), use("t0", "thief", theft_s))
    one, other = ("owner", "thief") if user_first else ("thief", "owner")
    state = refresh_tokens.decide(state, use(one, "next", theft_s + first_s), Context()).state
    assert (
        refresh_tokens.decide(state, use(other, "more", theft_s + first_s + second_s), Context()).state.status
        is FamilyStatus.ENDED
    )
