"""Passwords that are easy to guess are rejected in many variations; all other passwords are accepted."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.shops.user import CHEAP, UserApp
from user_svc.auth import password_policy, passwords
from user_svc.auth.password_policy import PasswordTooCommon, is_common
from user_svc.auth.passwords import Passwords

ADA = "ada.lovelace@example.org"
# A name that is in no list of names, so that it is easy to guess for its owner only.
EMAIL, NAME_AND_YEAR = "eva.qvistgaard@example.org", "qvistgaard1815"


@pytest.mark.parametrize(
    "password",
    """
    password Password1 PASSWORD! P@ssw0rd123! pa$$word passw0rd2024 12345678 123456789 0987654321 11111111
    00000000 aaaaaaaa abcabcabc abababab qwertyuiop Qwerty123456 qwertz123 asdfghjkl 1qaz2wsx 1q2w3e4r
    zaq12wsx qwe123qwe a1b2c3d4 abcd1234 iloveyou2 letmein! welcome2024 Summer2024! Winter!! football1
    monkey123 dragon99 trustno1 passwordpassword sunshinemonkey 19901224 24121990 2024password 123password
    OrderJourney1 order-journey shopping1 ada.lovelace adalovelace1 Lovelace2024 ada12345
    """.split(),
)
def test_the_most_common_passwords_are_rejected(password: str) -> None:
    assert is_common(password, ADA)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "kV9#xQ2m",
        "Zebrafish-Umbrella",
        "staple gun 7 oranges",
        "ünïcödé-schlüssel",
        "パスワードではない言葉",
        "73920174651",
        "my password is not in this list",
        "love8392017465",
        "        8 spaces",
        "\x07\rk\U00067ee6Ü\U00043540\x99'ú",
        "£뙯±∆12🐊|“Ä♜N≈¯œ",
    ],
)
def test_passwords_have_no_other_rules(password: str) -> None:
    assert not is_common(password, ADA)


def test_a_foreign_name_is_an_allowed_password() -> None:
    assert not is_common(NAME_AND_YEAR, ADA)
    assert is_common(NAME_AND_YEAR, EMAIL)


@given(st.text(min_size=8, max_size=128), st.emails())
def test_every_password_gets_a_result(password: str, email: str) -> None:
    assert is_common(password, email) in (True, False)


@pytest.mark.parametrize(
    "password", ["Willkommen1", "passwort2024", "Wachtwoord123!", "Passwd2024!", "Football2026"]
)
def test_common_foreign_words_with_a_year_are_refused(password: str) -> None:
    assert is_common(password)


def test_an_adversarial_password_is_judged_within_a_second() -> None:
    """zxcvbn alone takes seconds for this one: each sign can stand for several letters."""
    began = time.process_time()
    is_common("4836917052@({[<!|$+%" * 6, ADA)
    assert time.process_time() - began < 1


def test_user_inputs_of_concurrent_password_checks_stay_separate(monkeypatch: pytest.MonkeyPatch) -> None:
    """zxcvbn keeps the words that it is given in a global dictionary: only one thread may call it at once."""
    at_once, most = 0, 0

    def slow(password: str, user_inputs: list[str]) -> dict[str, int]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1
        return {"guesses": 10**9}

    monkeypatch.setattr(password_policy, "zxcvbn", slow)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(is_common, ["correct horse"] * 8)) == [False] * 8
    assert most == 1


async def test_a_password_is_judged_outside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """During the check the event loop runs, and the check counts towards the bound of waiting passwords."""
    entered, released = threading.Event(), threading.Event()

    def slow(password: str, email: str) -> bool:
        entered.set()
        return released.wait(60)

    monkeypatch.setattr(passwords, "is_common", slow)
    made = Passwords(CHEAP)
    judging = asyncio.create_task(made.require_uncommon("correct horse", ADA, "password"))
    while not entered.is_set():
        await asyncio.sleep(0.001)
    assert made.in_flight == 1 and not judging.done()
    released.set()
    with pytest.raises(PasswordTooCommon):
        await judging


async def test_a_refused_password_neither_throttles_nor_sends_mail(user_app: UserApp) -> None:
    for _ in range(10):
        response = await user_app.register(password="password2024!")
        assert response.status_code == 422
        assert "body.password: this password is too easy to guess" in response.json()["detail"]
    assert (await user_app.register()).status_code == 202
    assert user_app.published_types() == ["user.registered.v1"]
