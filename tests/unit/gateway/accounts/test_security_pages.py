"""The account page: the change of the e-mail address, and the list of sessions."""

from typing import Any

import httpx
import pytest

from contracts.notifications import MailKind
from tests.support.shops.gateway_with_services import ADA, PASSWORD, GatewayWithServices, Page, redirects_to
from tests.unit.gateway.accounts.test_pages import is_known, log_in


async def test_the_mail_to_the_new_address_confirms_its_change() -> None:
    gateway = GatewayWithServices()
    ada, elsewhere = await gateway.logged_in_customer(), gateway.browser()
    await log_in(elsewhere)
    form = {"email": "lovelace@example.org", "email_password": PASSWORD}
    wrong = await ada.post("/account/email", data=form | {"email_password": "not this one, no"})
    assert wrong.status_code == 422 and "This is not your current password" in Page(wrong).text
    same = await ada.post("/account/email", data=form | {"email": ADA})
    assert same.status_code == 422 and "This is your address already." in Page(same).text
    assert redirects_to(await ada.post("/account/email", data=form), "/account?said=email")
    page = Page(await ada.get("/account"))
    assert "Your address changes to lovelace@example.org" in page.text

    [user] = await gateway.user_app.runtime.store.find("users")
    assert user.state is not None
    about = user.state["email_change"]["request_id"]
    recipient = await gateway.user_app.contact(user.key, kind=MailKind.ADDRESS_PROOF, about=about)
    sent = {"token": recipient.json()["link_token"], "password": PASSWORD}
    assert redirects_to(await gateway.browser().post("/proofs", data=sent), "/account?said=new")
    assert not await is_known(ada) and not await is_known(elsewhere)


async def test_a_requested_change_of_the_address_can_be_dropped() -> None:
    gateway = GatewayWithServices()
    ada = await gateway.logged_in_customer()
    form = {"email": "lovelace@example.org", "email_password": PASSWORD}
    await ada.post("/account/email", data=form)
    assert redirects_to(await ada.post("/account/email/removal"), "/account?said=email-kept")
    assert "lovelace" not in Page(await ada.get("/account")).text
    assert redirects_to(await ada.post("/account/email/removal"), "/account?said=email-kept")


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def test_a_session_of_another_device_is_ended_at_once() -> None:
    gateway = GatewayWithServices()
    ada, elsewhere = await gateway.logged_in_customer(), gateway.browser()
    elsewhere.headers["User-Agent"] = FIREFOX
    await log_in(elsewhere)
    page = Page(await ada.get("/account"))
    assert "Firefox on Linux" in page.text and page.text.count("This session") == 1
    newest, *_ = page.form("/account/sessions/removal")["session"]
    done = await ada.post("/account/sessions/removal", data={"session": newest})
    assert redirects_to(done, "/account?said=session")
    assert not await is_known(elsewhere)
    assert await is_known(ada)
    assert "Firefox on Linux" not in Page(await ada.get("/account")).text


async def test_ending_a_session_twice_or_without_naming_it_is_explained() -> None:
    gateway = GatewayWithServices()
    ada = await gateway.logged_in_customer()
    for session in ("", "nonsense", "0190f0e8-0000-7000-8000-000000000001"):
        response = await ada.post("/account/sessions/removal", data={"session": session})
        assert response.status_code == 422 and "This session has already ended." in Page(response).text


async def test_the_account_page_opens_without_the_list_of_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = GatewayWithServices()
    ada = await gateway.logged_in_customer()
    request = gateway.deps.user_client.request

    async def fail(method: str, path: str, *args: Any, **how: Any) -> httpx.Response:
        return (
            httpx.Response(500) if path == "/users/me/sessions" else await request(method, path, *args, **how)
        )

    monkeypatch.setattr(gateway.deps.user_client, "request", fail)
    page = Page(await ada.get("/account"))
    assert "list of your sessions is currently unavailable" in page.text and ADA in page.text
