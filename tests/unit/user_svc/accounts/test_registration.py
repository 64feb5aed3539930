"""Registration: one account per address, whatever fails,
and responses that do not reveal who has an account.
"""

import asyncio
import json
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.bus.memory import MemoryStore
from contracts.notifications import MailKind
from tests.support.shops.user import CHEAP, PASSWORD, UserApp
from user_svc.auth.passwords import Passwords
from user_svc.http.strict_body import BODY_BYTES_MAX

REGISTERED, PROVED = "user.registered.v1", "user.address_proved.v1"
WAIT_S_MAX = 10.0


async def accounts_with(user_app: UserApp, email: str) -> list[str]:
    found = await user_app.runtime.store.find("users", {"email": email}, limit=100)
    return [loaded.key for loaded in found]


def network(number: int) -> str:
    """A separate network address for each number."""
    return f"10.{number // 250}.{number % 250}.7"


async def test_a_new_account_is_announced_by_its_id_only(user_app: UserApp) -> None:
    response = await user_app.register()
    user_id = response.json()["user_id"]
    assert response.status_code == 202
    assert response.headers["location"] == "/users/me"
    assert user_app.published_messages() == [(REGISTERED, b'{"user_id":"%s"}' % user_id.encode())]
    assert (await user_app.prove(user_id)).json()["user_id"] == user_id
    assert (await user_app.log_in()).json()["user_id"] == user_id


async def test_password_and_address_are_not_published_or_stored_elsewhere(
    user_app: UserApp,
) -> None:
    await user_app.register("ada.lovelace@example.org", name="Augusta")
    for wire_message in user_app.broker.tapped:
        assert not any(secret in repr(wire_message) for secret in ("lovelace", "Augusta", PASSWORD))
    store = user_app.runtime.store
    assert PASSWORD not in repr(await store.find("users"))
    assert "lovelace" not in repr(await store.find("emails"))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"email": "ada"}, "email"),
        ({"email": None}, "email"),
        ({"email": {"$ne": None}}, "email"),
        ({"email": ["ada@example.org"]}, "email"),
        ({"email": "аda@example.org"}, "email"),
        ({"email": f"{'a' * 250}@example.org"}, "email"),
        ({"name": ""}, "name"),
        ({"name": " \t "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "Ada\r\nBcc: all@example.org"}, "name"),
        ({"name": 7}, "name"),
        ({"password": "short77"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": {"$ne": None}}, "password"),
        ({"password": 1234567890}, "password"),
        ({"user_id": "7"}, "user_id"),
        ({"user_id": {"$gt": ""}}, "user_id"),
        ({"user_id": str(UUID(int=0))}, "user_id"),
        ({"password": "password2024!"}, "password"),
        ({"password": "ada12345"}, "password"),
        ({"role": "admin"}, "role"),
        ({"roles": ["staff"]}, "roles"),
        ({"password_hash": "x", "status": "erased"}, "password_hash"),
    ],
)
async def test_bad_input_is_named_and_not_repeated(
    user_app: UserApp, fields: dict[str, Any], named: str
) -> None:
    response = await user_app.register(**fields)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert f"body.{named}:" in response.json()["detail"]
    assert PASSWORD not in response.text
    assert not any(
        value in response.text for value in fields.values() if isinstance(value, str) and len(value) > 3
    )
    assert user_app.published_messages() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"\xff\xfe", 422),
        (b"[" * 10_000, 400),
        (b'{"email": "ada@example.org", "name": "\\ud800", "password": "long enough"}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"name": NaN}', 422),
        (b'{"name": -Infinity}', 422),
        (b'{"name": ' + b"9" * 5_000 + b"}", 400),
        (
            b'{"email": "ada@example.org", "email": "eve@example.org", "name": "A", "password": "long '
            b'enough"}',
            422,
        ),
        (b'{"name": "' + b"x" * BODY_BYTES_MAX + b'"}', 413),
    ],
)
async def test_a_malformed_body_is_rejected(user_app: UserApp, body: bytes, status: int) -> None:
    response = await user_app.http.post("/users", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_name_given_twice_is_refused_with_the_reason(user_app: UserApp) -> None:
    body = b'{"email": "ada@example.org", "email": "eve@example.org"}'
    response = await user_app.http.post("/users", content=body, headers={"Content-Type": "application/json"})
    assert response.json()["errors"][0]["detail"] == "JSON decode error: a name is given twice; give it once"


@pytest.mark.parametrize("body", [b"{", b"[]", b""])
async def test_a_body_of_another_type_is_invalid_as_a_whole(user_app: UserApp, body: bytes) -> None:
    response = await user_app.http.post("/users", content=body, headers={"Content-Type": "application/json"})
    assert [error["pointer"] for error in response.json()["errors"]] == ["#"]


async def test_a_form_that_is_not_json_is_refused(user_app: UserApp) -> None:
    response = await user_app.http.post(
        "/users", data={"email": "ada@example.org", "name": "Ada", "password": PASSWORD}
    )
    assert response.status_code == 422


class CountingHasher:
    """Argon2 that counts its calls."""

    def __init__(self) -> None:
        self.asked = 0

    def hash(self, password: str) -> str:
        self.asked += 1
        return CHEAP.hash(password)

    def verify(self, hash: str, password: str) -> bool:
        self.asked += 1
        return CHEAP.verify(hash, password)


async def test_a_taken_address_gets_the_same_response_and_work() -> None:
    hasher = CountingHasher()
    user_app = UserApp(MemoryStore(), passwords=Passwords(hasher), min_response_s=0.1)
    await user_app.logged_in_user(password="password of ada")
    loop, took = asyncio.get_running_loop(), []
    responses = []
    for address in ("eve@example.org", " ADA@example.org"):
        asked, begin = hasher.asked, loop.time()
        responses.append(await user_app.register(address, password="password of eve"))
        took.append(loop.time() - begin)
        assert hasher.asked == asked + 1
    # both wait for the same duration: a lower bound, so timing cannot make this fail
    assert min(took) >= 0.099
    assert [response.status_code for response in responses] == [202, 202]
    assert responses[0].headers == responses[1].headers
    assert responses[0].json().keys() == responses[1].json().keys()
    assert (await user_app.log_in(password="password of ada")).status_code == 201
    assert (await user_app.log_in(password="password of eve")).status_code == 401


async def test_only_the_user_of_a_taken_address_is_notified(
    user_app: UserApp,
) -> None:
    ada = await user_app.logged_in_user()
    for _ in range(3):
        await user_app.register(password="another password")
    user_app.later(seconds=60)
    await user_app.register(password="another password")
    assert user_app.published_types() == [
        REGISTERED,
        PROVED,
        "user.registered_again.v1",
        "user.registered_again.v1",
    ]
    assert {UUID(json.loads(body)["user_id"]) for _, body in user_app.published_messages()} == {ada.user_id}


async def test_an_unverified_address_can_be_registered_again(
    user_app: UserApp,
) -> None:
    squatter = (await user_app.register(password="the squatter's own")).json()["user_id"]
    link = await user_app.link(squatter, MailKind.USER_REGISTERED)
    ada = await user_app.logged_in_user()
    assert await accounts_with(user_app, "ada@example.org") == [str(ada.user_id)]
    assert (await user_app.log_in(password="the squatter's own")).status_code == 401
    late = await user_app.ask("POST", "/proofs", {"token": link, "password": "the squatter's own"})
    assert late.status_code == 401
    assert (await user_app.contact(squatter)).status_code == 404
    assert user_app.published_types() == [
        REGISTERED,
        "user.access_changed.v1",
        "user.erased.v1",
        REGISTERED,
        PROVED,
    ]


async def test_registering_a_foreign_address_gains_nothing_from_its_verification(
    user_app: UserApp,
) -> None:
    squatter = (await user_app.register(password="the squatter's own")).json()["user_id"]
    assert (await user_app.prove(squatter, "the victim's guess")).status_code == 401
    assert (await user_app.log_in(password="the squatter's own")).status_code == 403
    link = await user_app.link(squatter, MailKind.PASSWORD_RESET)  # the victim requests a reset
    await user_app.ask("POST", "/password-resets/confirmations", {"token": link, "password": PASSWORD})
    assert (await user_app.log_in(password="the squatter's own")).status_code == 401
    assert (await user_app.log_in()).status_code == 201


async def test_of_concurrent_registrations_with_one_address_one_succeeds(user_app: UserApp) -> None:
    responses = await asyncio.gather(*(user_app.register(of=network(number)) for number in range(20)))
    assert {response.status_code for response in responses} == {202}
    (holder,) = await accounts_with(user_app, "ada@example.org")
    reported = Counter(user_app.published_types())
    assert reported[REGISTERED] == reported["user.erased.v1"] + 1
    assert (await user_app.prove(holder)).status_code == 201


async def test_a_repeated_registration_is_one_unchanged_account(user_app: UserApp) -> None:
    user_id = str(uuid4())
    first = await user_app.register(user_id=user_id)
    again = await user_app.register(user_id=user_id, name="Eve", password="another password")
    assert first.json() == again.json() == {"user_id": user_id}
    assert len(user_app.published_messages()) == 1
    assert (await user_app.contact(user_id)).json()["name"] == "Ada"
    assert (await user_app.prove(user_id)).status_code == 201


async def test_the_same_registration_many_times_at_once_is_one_account(user_app: UserApp) -> None:
    user_id = str(uuid4())
    await asyncio.gather(*(user_app.register(user_id=user_id, of=network(number)) for number in range(10)))
    assert len(user_app.published_messages()) == 1
    assert (await user_app.prove(user_id)).json()["user_id"] == user_id


async def test_a_used_id_with_another_address_changes_nothing(
    user_app: UserApp,
) -> None:
    ada = await user_app.logged_in_user()
    assert (await user_app.register("eve@example.org", user_id=str(ada.user_id))).status_code == 202
    assert (await ada.me())["email"] == "ada@example.org"
    assert (await user_app.log_in("eve@example.org")).status_code == 401
    assert (await user_app.logged_in_user("eve@example.org")).user_id != ada.user_id


async def test_one_id_with_two_addresses_reserves_one_only(
    user_app: UserApp,
) -> None:
    user_id, emails = str(uuid4()), ["ada@example.org", "eve@example.org"]
    await asyncio.gather(*(user_app.register(email, user_id=user_id) for email in emails))
    assert len(user_app.published_messages()) == 1
    assert (await user_app.prove(user_id)).status_code == 201
    entries = [(await user_app.log_in(email)).status_code for email in emails]
    assert sorted(entries) == [201, 401]
    await user_app.logged_in_user(emails[entries.index(401)])
