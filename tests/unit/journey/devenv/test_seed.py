"""Seeding the shop: an article that does not appear is an error with a remedy."""

from collections import Counter

import httpx
import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv import shop
from journey.devenv.infra.fake_smtp.store import Faults, Mailbox
from journey.devenv.infra.fake_smtp.web import web_app


async def test_a_missing_article_is_an_error_with_a_remedy() -> None:
    no_users = httpx.MockTransport(lambda request: httpx.Response(404))
    async with httpx.AsyncClient(transport=no_users) as http:
        with pytest.raises(
            InfrastructureUnavailable, match=r"prices/KETTLE-BLUE was not found within 0 s"
        ) as refused:
            await shop._known(http, "http://order_svc/prices/KETTLE-BLUE", wait_s=0)
    assert "check the log" in refused.value.remedy


async def test_a_mail_arriving_during_paging_is_not_counted_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mailbox = Mailbox()

    def arrive(number: int) -> None:
        mailbox.take(
            "shop@example.org", ["ada@example.org"], f"Message-ID: <m{number}@shop>\r\n\r\nHello".encode()
        )

    class Busy(httpx.ASGITransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            if len(mailbox) < 12:
                arrive(len(mailbox))
            return response

    monkeypatch.setattr(shop, "_MAILS_ON_A_PAGE", 4)
    for number in range(10):
        arrive(number)
    async with httpx.AsyncClient(
        transport=Busy(web_app(mailbox, Faults())), base_url="http://127.0.0.1"
    ) as http:
        found = Counter(await shop._message_ids(http))
        assert found == {f"m{number}": 1 for number in range(10)}, "later ones are for the next poll"
        mailbox.take("shop@example.org", ["ada@example.org"], b"Message-ID: <m3@shop>\r\n\r\nHello")
        again = Counter(await shop._message_ids(http))
    assert again == {f"m{number}": 1 for number in range(12)} | {"m3": 2}
