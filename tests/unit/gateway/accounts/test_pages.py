"""The account pages: open an account, verify its e-mail address, log in and out, change and erase it."""

import re

import httpx
import pytest
from fastapi.routing import APIRoute

from contracts.notifications import MailKind
from tests.support.shops.gateway_with_services import (
    ADA,
    HOME,
    KETTLE,
    PASSWORD,
    GatewayWithServices,
    Page,
    redirects_to,
)

NEW = "another fairly long one"
REGISTRATION = {"email": ADA, "name": "Ada", "password": PASSWORD}


async def log_in(browser: httpx.AsyncClient, password: str = PASSWORD) -> httpx.Response:
    return await browser.post("/login", data={"email": ADA, "password": password})


async def mailed(gateway: GatewayWithServices, kind: MailKind) -> str:
    """The token of the newest link in an e-mail."""
    [user] = await gateway.user_app.runtime.store.find("users")
    return await gateway.link(user.key, kind)


async def is_known(browser: httpx.AsyncClient) -> bool:
    return (await browser.get("/account")).status_code == 200


async def test_an_account_opens_once_its_address_is_verified() -> None:
    gateway = GatewayWithServices()
    ada = gateway.browser()
    assert redirects_to(await ada.post("/register", data=REGISTRATION), "/register/done")
    waiting = await log_in(ada)
    assert waiting.status_code == 403
    assert "verify your e-mail address first" in Page(waiting).text
    assert redirects_to(
        await ada.post("/proof-requests", data=Page(waiting).form("/proof-requests")), "/login?said=sent"
    )

    token = await mailed(gateway, MailKind.USER_REGISTERED)
    page = Page(await ada.get(f"/proofs?token={token}"))
    sent = page.form("/proofs")
    wrong = await ada.post("/proofs", data=sent | {"password": "not this one, no"})
    assert wrong.status_code == 422 and "is no longer valid, or the password" in Page(wrong).text
    assert not await is_known(ada)
    assert redirects_to(await ada.post("/proofs", data=sent | {"password": PASSWORD}), "/account?said=new")
    assert await is_known(ada)


async def test_registration_does_not_reveal_existing_accounts() -> None:
    gateway = GatewayWithServices()
    await gateway.user_app.logged_in_user()
    responses = [
        await gateway.browser().post("/register", data=REGISTRATION | {"email": email})
        for email in (ADA, "new@example.org")
    ]
    assert all(redirects_to(response, "/register/done") for response in responses)


async def test_registration_errors_are_shown_at_their_fields() -> None:
    gateway = GatewayWithServices()
    for wrong, field in (
        ({"email": "no address"}, "email"),
        ({"email": ""}, "email"),
        ({"name": " "}, "name"),
        ({"name": "Ada\r\nBcc: x"}, "name"),
        ({"password": "short"}, "password"),
        ({"password": "password1"}, "password"),
    ):
        response = await gateway.browser().post("/register", data=REGISTRATION | wrong)
        assert response.status_code == 422, wrong
        page = Page(response)
        assert f'<a href="#{field}">' in page.html, wrong
        [given] = [given for tag, given in page.tags if given.get("id") == field]
        assert given["aria-invalid"] == "true"
        assert given.get("type") != "password" or "value" not in given


async def test_every_failed_login_shows_the_same_message() -> None:
    gateway = GatewayWithServices()
    await gateway.user_app.logged_in_user()
    pages = []
    for email, password in (
        (ADA, "not this one, no"),
        ("nobody@example.org", PASSWORD),
        ("no address", PASSWORD),
    ):
        response = await gateway.browser().post("/login", data={"email": email, "password": password})
        assert response.status_code == 422
        pages.append(response.text.replace(email, "…"))
    assert len(set(pages)) == 1


async def test_each_login_sets_a_new_cookie() -> None:
    gateway = GatewayWithServices()
    await gateway.user_app.logged_in_user()
    browser = gateway.browser()
    first = await log_in(browser)
    cookie = first.headers["Set-Cookie"]
    assert cookie.startswith("__Host-sid=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    before = browser.cookies["__Host-sid"]
    await log_in(browser)
    assert browser.cookies["__Host-sid"] != before
    browser.cookies.set("__Host-sid", before, domain="shop.example", path="/")
    assert not await is_known(browser), "the session before the second login has ended"


async def test_after_logging_out_the_old_cookie_opens_nothing() -> None:
    gateway = GatewayWithServices()
    ada = await gateway.logged_in_customer()
    cookie = ada.cookies["__Host-sid"]
    assert redirects_to(await ada.post("/logout"), "/login?said=out")
    assert "__Host-sid" not in ada.cookies
    ada.cookies.set("__Host-sid", cookie, domain="shop.example", path="/")
    assert not await is_known(ada)


async def test_a_mailed_link_replaces_a_forgotten_password_once() -> None:
    gateway = GatewayWithServices()
    await gateway.user_app.logged_in_user()
    eve = gateway.browser()
    for email in (ADA, "nobody@example.org"):
        assert redirects_to(
            await eve.post("/password-resets", data={"email": email}), "/password-resets/sent"
        )
    token = await mailed(gateway, MailKind.PASSWORD_RESET)
    sent = Page(await eve.get(f"/password-resets/confirm?token={token}")).form("/password-resets/confirm")
    assert (await eve.post("/password-resets/confirm", data=sent | {"password": "short"})).status_code == 422
    assert redirects_to(
        await eve.post("/password-resets/confirm", data=sent | {"password": NEW}), "/login?said=password"
    )
    again = await eve.post("/password-resets/confirm", data=sent | {"password": PASSWORD})
    assert again.status_code == 422 and "no longer valid" in Page(again).text
    assert (await log_in(eve)).status_code == 422
    assert redirects_to(await log_in(eve, NEW), "/")


async def test_name_and_addresses_are_kept() -> None:
    gateway = GatewayWithServices()
    ada = await gateway.logged_in_customer()
    assert redirects_to(await ada.post("/account/name", data={"name": "Ada L."}), "/account?said=name")
    assert redirects_to(await ada.post("/account/addresses", data=HOME), "/account?said=address")
    page = Page(await ada.get("/account"))
    assert page.form("/account/name") == {"name": "Ada L."}
    assert "12 St James's Square" in page.text
    nothing = await ada.post("/account/addresses/removal", data={"label": " "})
    assert nothing.status_code == 422
    gone = await ada.post("/account/addresses/removal", data={"label": "home"})
    assert redirects_to(gone, "/account?said=address")
    assert "12 St James's Square" not in Page(await ada.get("/account")).text


@pytest.mark.parametrize("field", ["label", "recipient", "street", "postcode", "city", "country"])
async def test_an_address_without_a_required_field_is_rejected(field: str) -> None:
    gateway = GatewayWithServices()
    ada = await gateway.logged_in_customer()
    response = await ada.post("/account/addresses", data=HOME | {field: " "})
    page = Page(response)
    assert response.status_code == 422 and f'<a href="#{field}">' in page.html
    kept = page.form("/account/addresses")
    assert all(kept[name] == value for name, value in HOME.items() if name != field)


async def test_changing_the_password_needs_the_old_and_ends_logins() -> None:
    gateway = GatewayWithServices()
    ada, elsewhere = await gateway.logged_in_customer(), gateway.browser()
    await log_in(elsewhere)
    wrong = await ada.post("/account/password", data={"current": "not this one", "new": NEW})
    assert wrong.status_code == 422 and "This is not your current password" in Page(wrong).text
    assert await is_known(ada)
    changed = await ada.post("/account/password", data={"current": PASSWORD, "new": NEW})
    assert redirects_to(changed, "/login?said=password")
    assert not await is_known(ada)
    assert redirects_to(await log_in(ada, NEW), "/")


async def test_logging_out_everywhere_ends_this_session_too() -> None:
    gateway = GatewayWithServices()
    ada = await gateway.logged_in_customer()
    assert redirects_to(await ada.post("/account/logout-everywhere"), "/login?said=everywhere")
    assert not await is_known(ada)


async def test_an_account_is_erased_with_its_password_only() -> None:
    gateway = GatewayWithServices()
    ada = await gateway.logged_in_customer()
    wrong = await ada.post("/account/erasure", data={"password": "not this one, no"})
    assert wrong.status_code == 422 and await is_known(ada)
    assert redirects_to(await ada.post("/account/erasure", data={"password": PASSWORD}), "/login?said=erased")
    assert (await log_in(ada)).status_code == 422


async def test_account_pages_without_a_session_lead_to_login() -> None:
    gateway = GatewayWithServices()
    eve = gateway.browser()
    routes = [route for route in gateway.app.routes if isinstance(route, APIRoute)]
    found = [
        (method, each.path)
        for each in routes
        for method in each.methods or ()
        if each.path.startswith("/account")
    ]
    assert len(found) > 6
    for method, path in found:
        assert redirects_to(await eve.request(method, path), "/login?next=/account"), path
    assert redirects_to(await eve.get("/checkout"), "/login?next=/checkout")
    assert redirects_to(await eve.post("/checkout"), "/login?next=/checkout")
    assert redirects_to(await eve.post("/orders/some/cancellation"), "/login?next=/orders/some")


async def test_no_page_shows_a_typed_password() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE)
    ada = await gateway.logged_in_customer()
    secret = "a secret that was typed wrong"
    for path, data in (
        ("/login", {"email": ADA, "password": secret}),
        ("/register", {"email": "", "name": "", "password": secret}),
        ("/account/password", {"current": secret, "new": secret}),
        ("/account/erasure", {"password": secret}),
        ("/account/email", {"email": "lovelace@example.org", "email_password": secret}),
    ):
        response = await ada.post(path, data=data)
        assert response.status_code == 422, path
        assert not re.search(re.escape(secret), response.text), path
