"""Addresses are requested from user_svc and not stored."""

import asyncio

import httpx
import pytest

from chassis.core.definition import EffectUnavailable
from chassis.messaging.identity import new_id
from contracts.notifications import MailKind
from notification_svc import user_client as module
from notification_svc.user_client import RecipientClient, UserNotFound
from tests.support.mail_fixtures import Users

ORDER_MAIL = MailKind.ORDER_CONFIRMED


async def test_the_contact_request_carries_the_service_token(users: Users, contacts: RecipientClient) -> None:
    ann = users.add("ann@shop.example", "Ann")
    contact = await contacts.of(ann, ORDER_MAIL)
    assert (contact.email, contact.name) == ("ann@shop.example", "Ann")
    assert users.asked[0].headers["authorization"] == "Bearer token-of-ours"


async def test_an_erased_address_is_unknown_at_once(users: Users, contacts: RecipientClient) -> None:
    ann = users.add()
    await contacts.of(ann, ORDER_MAIL)
    del users.contacts[ann]
    with pytest.raises(UserNotFound):
        await contacts.of(ann, ORDER_MAIL)


async def test_an_erased_user_is_not_found(contacts: RecipientClient) -> None:
    with pytest.raises(UserNotFound):
        await contacts.of(new_id(), ORDER_MAIL)


@pytest.mark.parametrize(
    "trouble", [500, 503, 401, 403, 429, httpx.ConnectError("refused"), httpx.ReadTimeout("slow")]
)
async def test_an_invalid_response_of_user_svc_counts_as_unavailable(
    users: Users, contacts: RecipientClient, trouble: int | Exception
) -> None:
    ann = users.add()
    users.fails_with = trouble
    with pytest.raises(EffectUnavailable):
        await contacts.of(ann, ORDER_MAIL)


async def test_a_user_svc_that_hangs_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_S_MAX", 0.01)

    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with httpx.AsyncClient(transport=httpx.MockTransport(hang), base_url="http://user_svc") as http:
        with pytest.raises(EffectUnavailable):
            await RecipientClient(http, lambda: "t").of(new_id(), ORDER_MAIL)


async def test_an_invalid_contact_response_is_not_repeated_in_the_error(
    users: Users, contacts: RecipientClient
) -> None:
    user_id = new_id()
    users.contacts[user_id] = {"mail": "ann@shop.example"}
    with pytest.raises(EffectUnavailable) as error:
        await contacts.of(user_id, ORDER_MAIL)
    assert "ann@" not in str(error.value)
    assert error.value.__cause__ is None


async def test_a_missing_token_file_is_unavailability_not_a_bug(users: Users) -> None:
    def token() -> str:
        raise FileNotFoundError

    async with users.client() as http:
        with pytest.raises(EffectUnavailable):
            await RecipientClient(http, token).of(users.add(), ORDER_MAIL)


LINKED = (MailKind.USER_REGISTERED, MailKind.ADDRESS_PROOF, MailKind.PASSWORD_RESET)


@pytest.mark.parametrize("kind", MailKind)
async def test_the_contact_request_names_the_kind_of_mail(
    users: Users, contacts: RecipientClient, kind: MailKind
) -> None:
    contact = await contacts.of(users.add(), kind)
    assert users.asked[0].url.params["kind"] == kind
    assert contact.link_token == (f"token-1-for-{kind}" if kind in LINKED else None)


@pytest.mark.parametrize("kind", LINKED)
async def test_each_mail_requests_a_new_token(
    users: Users, contacts: RecipientClient, kind: MailKind
) -> None:
    ann = users.add()
    first, second = [(await contacts.of(ann, kind)).link_token for _ in range(2)]
    assert first != second


async def test_a_token_too_long_for_a_mail_line_is_rejected(users: Users, contacts: RecipientClient) -> None:
    ann = users.add()
    users.contacts[ann]["link_token"] = "x" * 1_000
    with pytest.raises(EffectUnavailable) as error:
        await contacts.of(ann, ORDER_MAIL)
    assert "xxx" not in str(error.value)


async def test_a_contact_shown_by_mistake_does_not_show_its_token(
    users: Users, contacts: RecipientClient
) -> None:
    assert "token-1" not in repr(await contacts.of(users.add(), MailKind.PASSWORD_RESET))
