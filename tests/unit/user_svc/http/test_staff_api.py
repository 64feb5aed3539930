"""The look-up of a customer by e-mail address, which only staff may do."""

from collections.abc import AsyncIterator

import pytest
import structlog

from chassis import telemetry
from chassis.bus.memory import MemoryStore
from contracts import users
from contracts.roles import Role
from tests.support.openapi_checks import complaints
from tests.support.shops.user import LoggedInClient, UserApp
from tests.unit.user_svc.accounts.test_roles import publish
from tests.unit.user_svc.http.test_openapi import NOT_IN_A_SCHEMA, app_of
from user_svc.settings import AuthPolicy

PATH = "/customer-lookups"


async def grant(user_app: UserApp, user: LoggedInClient, role: Role = Role.STAFF) -> LoggedInClient:
    """The user with a token that has the role."""
    await publish(
        user_app,
        users.GrantRole(user_id=user.user_id, role=role),
        len(user_app.published_messages()) + 2,
    )
    return LoggedInClient(user_app, (await user_app.refresh(user.refresh_token)).json())


@pytest.fixture
async def olga(user_app: UserApp) -> AsyncIterator[LoggedInClient]:
    """A member of staff."""
    yield await grant(user_app, await user_app.logged_in_user("olga@example.org"))


async def found(staff: LoggedInClient, email: str) -> object:
    response = await staff("POST", PATH, {"email": email})
    assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store", response.text
    return response.json()


@pytest.mark.parametrize("written", ["ada@example.org", " Ada@EXAMPLE.org ", "\uff41da@example.org"])
async def test_staff_find_a_customer_by_the_whole_address(
    user_app: UserApp, olga: LoggedInClient, written: str
) -> None:
    ada = await user_app.logged_in_user("ada@example.org")
    assert await found(olga, written) == {"user_id": str(ada.user_id)}


@pytest.mark.parametrize("email", ["ada@example.co", "da@example.org", "bob@example.org", "eve@example.org"])
async def test_unknown_unproved_and_erased_addresses_lead_to_no_customer(
    user_app: UserApp, olga: LoggedInClient, email: str
) -> None:
    """An unproved address may be another person's than the one who registered it."""
    await user_app.logged_in_user("ada@example.org")
    await user_app.register("bob@example.org")
    eve = await user_app.logged_in_user("eve@example.org")
    assert (await eve.erase()).status_code == 204
    assert await found(olga, email) == {"user_id": None}


async def test_customers_and_strangers_are_refused(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    response = await ada("POST", PATH, {"email": "ada@example.org"})
    assert response.status_code == 403 and "only staff" in response.json()["detail"]
    stranger = await user_app.ask("POST", PATH, {"email": "ada@example.org"})
    assert stranger.status_code == 401


async def test_a_revoked_role_counts_at_once(user_app: UserApp, olga: LoggedInClient) -> None:
    """Also for a token that was issued before."""
    revoke = users.RevokeRole(user_id=olga.user_id, role=Role.STAFF)
    await publish(user_app, revoke, len(user_app.published_messages()) + 2)
    assert (await olga("POST", PATH, {"email": "olga@example.org"})).status_code == 403


@pytest.mark.parametrize(
    "email", ["ada", "", "a\u017fa@example.org\u00df", "a" * 300 + "@example.org", None, 5]
)
async def test_a_wrong_address_names_the_field_and_is_not_repeated(
    olga: LoggedInClient, email: object
) -> None:
    response = await olga("POST", PATH, {"email": email})
    assert response.status_code == 422 and "email" in response.text
    assert not email or str(email) not in response.text.replace('"body.email"', "").replace("email", "")


async def test_the_look_ups_of_each_staff_member_are_limited(user_app: UserApp, olga: LoggedInClient) -> None:
    allowed = AuthPolicy().tries_per_minute
    for number in range(allowed):
        await found(olga, f"customer{number}@example.org")
    await user_app.logged_in_user("ada@example.org")
    response = await olga("POST", PATH, {"email": "ada@example.org"})
    assert response.status_code == 429 and int(response.headers["Retry-After"]) >= 1
    otto = await grant(user_app, await user_app.logged_in_user("otto@example.org"))
    assert await found(otto, "olga@example.org") == {"user_id": str(olga.user_id)}


async def test_neither_log_nor_messages_contain_the_address(
    user_app: UserApp, olga: LoggedInClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await user_app.logged_in_user("ada@example.org")
    sent = len(user_app.published_messages())
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr(telemetry, "log", log)
    await found(olga, "ada@example.org")
    assert len(user_app.published_messages()) == sent
    [call] = log.calls
    assert call.kwargs == {"staff_id": str(olga.user_id), "customer_id": str(ada.user_id)}
    assert "example.org" not in repr(log.calls)


async def test_responses_for_staff_match_the_openapi_document() -> None:
    user_app = UserApp(MemoryStore())
    user_app.http = user_app.new_client(policy=AuthPolicy(tries_per_minute=1_000_000))
    await user_app.runtime.start()
    olga = await grant(user_app, await user_app.logged_in_user())
    headers = {"Authorization": f"Bearer {olga.token}"}
    reported = complaints(app_of(user_app), headers=headers, paths=f"^{PATH}")
    assert [each for each in reported if not NOT_IN_A_SCHEMA.match(each)] == []
    await user_app.runtime.stop()
