"""Common passwords are rejected in all their variations; all other passwords are accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from user_svc.auth.password_policy import is_common

ADA = "ada.lovelace@example.org"


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
def test_what_everybody_tries_first_is_refused(password: str) -> None:
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
def test_nothing_else_is_asked_of_a_password(password: str) -> None:
    assert not is_common(password, ADA)


def test_somebody_elses_name_is_a_password_like_any_other() -> None:
    assert not is_common("lovelace1815", "eve@example.org")
    assert is_common("lovelace1815", ADA)


@given(st.text(min_size=8, max_size=128), st.emails())
def test_every_password_gets_an_answer(password: str, email: str) -> None:
    assert is_common(password, email) in (True, False)
