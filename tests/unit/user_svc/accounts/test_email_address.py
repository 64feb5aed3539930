"""E-mail addresses: one normal form, checked syntax for new accounts, and old accounts that still log in."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.core.execute import execute
from tests.support.shops.user import PASSWORD, UserApp
from user_svc.accounts.aggregates import EMAILS, USERS
from user_svc.accounts.email_address import new_email, normalise_email
from user_svc.accounts.email_reservation import Reserve, reservation_key
from user_svc.accounts.user import Prove, Register

ADA = UUID(int=1)

# Addresses that an earlier version accepted and stored, in its normal form.
STORED = (
    "ada@example.org",
    "ada+shop@xn--mnchen-3ya.de",
    "ada..lovelace@example.org",
    ".ada@example.org",
    "ada@shop.local",
    "ada@127.0.0.1",
    "ada@ab--cd.org",
    f"{'a' * 64}@example.org",
)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("  Ada@Example.ORG ", "ada@example.org"),
        ("ａｄａ＠example.org", "ada@example.org"),
        ("ada+shop@xn--mnchen-3ya.de", "ada+shop@xn--mnchen-3ya.de"),
    ],
)
def test_equivalent_addresses_are_one_address(typed: str, meant: str) -> None:
    assert normalise_email(typed) == new_email(typed) == meant


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
        "ada..lovelace@example.org",
        ".ada@example.org",
        "ada@shop.local",
        "ada@127.0.0.1",
        "ada@xn--a.de",
    ],
)
def test_an_address_that_is_not_plain_is_rejected(typed: str) -> None:
    with pytest.raises(ValueError, match=r"address|ASCII"):
        new_email(typed)


@given(st.text(max_size=60))
def test_a_normal_form_stays_as_it_is(typed: str) -> None:
    try:
        form = normalise_email(typed)
    except ValueError:
        return
    assert normalise_email(form) == form and form.isascii() and form.isprintable()


@pytest.mark.parametrize("address", STORED)
async def test_an_account_of_an_earlier_version_still_logs_in(user_app: UserApp, address: str) -> None:
    hashed = await user_app.passwords.hash(PASSWORD)
    await execute(user_app.runtime, EMAILS, reservation_key(address), Reserve(ADA, user_app.now))
    for command in Register(ADA, address, "Ada", hashed, user_app.now), Prove():
        await execute(user_app.runtime, USERS, str(ADA), command)
    assert (await user_app.log_in(f" {address.upper()} ")).status_code == 201
    assert (await user_app.ask("POST", "/password-resets", {"email": address})).status_code == 202
    assert user_app.published_types()[-1] == "user.password_reset_requested.v1"


async def test_no_address_is_looked_up_in_the_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object) -> None:
        raise AssertionError("looked up in the DNS")

    monkeypatch.setattr("email_validator.deliverability.validate_email_deliverability", look_up)
    assert new_email("ada@example.org") == "ada@example.org"
