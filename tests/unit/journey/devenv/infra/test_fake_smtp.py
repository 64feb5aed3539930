"""The mailbox accepts real SMTP, shows what arrived, and injects faults on request."""

import asyncio
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import httpx
import pytest

from journey.devenv.infra.fake_smtp.server import Receiver, listen_smtp
from journey.devenv.infra.fake_smtp.store import Faults, Mailbox
from journey.devenv.infra.fake_smtp.web import web_app
from journey.devenv.infra.ports import free_ports


class Running:
    def __init__(self, mailbox: Mailbox, port: int, api: httpx.AsyncClient) -> None:
        self.mailbox = mailbox
        self.port = port
        self.api = api

    async def send(self, subject: str, *, html: str | None = None) -> None:
        await aiosmtplib.send(mail_of(subject, html), hostname="127.0.0.1", port=self.port, timeout=60)

    async def subjects(self) -> list[str]:
        messages = (await self.api.get("/api/v1/messages")).json()["messages"]
        return [message["Subject"] for message in messages]


def mail_of(subject: str, html: str | None = None) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Shop <shop@shop.example>"
    mail["To"] = "ada@example.org"
    mail["Subject"] = subject
    mail["Message-ID"] = "<order-1.confirmed@shop.example>"
    mail.set_content("Hello Ada,\n\nyour order is confirmed.\n")
    if html is not None:
        mail.add_alternative(html, subtype="html")
    return mail


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    mailbox, faults = Mailbox(tmp_path / "mails.jsonl"), Faults()
    [port] = free_ports(1)
    server = await listen_smtp(Receiver(mailbox, faults), port)
    transport = httpx.ASGITransport(web_app(mailbox, faults))
    async with server, httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
        yield Running(mailbox, port, api)


async def test_a_mail_that_was_sent_is_in_the_api(running: Running) -> None:
    await running.send("Your order is confirmed", html="<p>Confirmed</p>")
    listed = (await running.api.get("/api/v1/messages")).json()
    assert listed["total"] == 1
    [mail] = listed["messages"]
    assert mail["From"]["Address"] == "shop@shop.example"
    assert [each["Address"] for each in mail["To"]] == ["ada@example.org"]
    assert mail["MessageID"] == "order-1.confirmed@shop.example"
    whole = (await running.api.get(f"/api/v1/message/{mail['ID']}")).json()
    assert "your order is confirmed" in whole["Text"]
    assert "<p>Confirmed</p>" in whole["HTML"]


async def test_the_newest_mail_comes_first_and_pages_can_be_turned(running: Running) -> None:
    for subject in ("one", "two", "three"):
        await running.send(subject)
    assert await running.subjects() == ["three", "two", "one"]
    page = (await running.api.get("/api/v1/messages?start=1&limit=1")).json()
    assert [mail["Subject"] for mail in page["messages"]] == ["two"]
    assert page["total"] == 3


async def test_a_mail_that_was_sent_twice_is_seen_twice(running: Running) -> None:
    await running.send("once")
    await running.send("once")
    assert await running.subjects() == ["once", "once"]


async def test_html_of_a_mail_stays_inside_its_sandbox(running: Running) -> None:
    await running.send("<script>alert(1)</script>", html='"></iframe><script>alert(2)</script>')
    [mail] = running.mailbox.newest(0, 1)
    for path in ("/", f"/mail/{mail.id}"):
        page = await running.api.get(path)
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert 'sandbox srcdoc="&#34;&gt;&lt;/iframe&gt;&lt;script&gt;' in page.text


async def test_a_broken_mail_is_kept_and_shown(running: Running) -> None:
    running.mailbox.take(
        "", ["x@y"], b"Subject: =?utf-9?b?////?=\xff\r\nContent-Type: text/plain; charset=no\r\n\r\nx"
    )
    assert (await running.api.get("/")).status_code == 200
    assert (await running.api.get("/api/v1/message/latest")).status_code == 200


async def test_a_number_of_mails_is_rejected_temporarily(running: Running) -> None:
    assert (await running.api.put("/faults", json={"refuse": 1})).status_code == 200
    with pytest.raises(aiosmtplib.SMTPDataError) as refused:
        await running.send("too early")
    assert refused.value.code == 451
    await running.send("later")
    assert await running.subjects() == ["later"]


async def test_mails_are_rejected_until_the_fault_is_removed(running: Running) -> None:
    await running.api.put("/faults", json={"refuse": "always"})
    for _ in range(3):
        with pytest.raises(aiosmtplib.SMTPDataError):
            await running.send("no")
    await running.api.put("/faults", json={})
    await running.send("yes")
    assert await running.subjects() == ["yes"]


async def test_a_sender_that_times_out_has_sent_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, is_over = asyncio.Event(), asyncio.Event()
    take = Receiver.handle_DATA

    async def noted(*mail: Any) -> str:
        hangs.set()
        try:
            return await take(*mail)
        finally:
            is_over.set()

    monkeypatch.setattr(Receiver, "handle_DATA", noted)
    await running.api.put("/faults", json={"delay_ms": 600_000})
    sender = aiosmtplib.SMTP(hostname="127.0.0.1", port=running.port, timeout=60)
    await sender.connect()
    sending = asyncio.create_task(sender.send_message(mail_of("too slow")))
    async with asyncio.timeout(60):
        await hangs.wait()
        sender.close()
        with pytest.raises(aiosmtplib.SMTPException):
            await sending
        await is_over.wait()
    assert await running.subjects() == []


@pytest.mark.parametrize("nonsense", [{"refuse": -1}, {"refuse": "often"}, {"hang": 1}, {"delay_ms": "x"}])
async def test_a_fault_that_does_not_exist_is_refused(running: Running, nonsense: dict[str, object]) -> None:
    assert (await running.api.put("/faults", json=nonsense)).status_code == 422


async def test_mails_survive_restarts_and_a_truncated_line(running: Running) -> None:
    await running.send("kept")
    assert running.mailbox.file is not None
    with running.mailbox.file.open("a") as file:
        file.write('{"id": "torn", "crea')
    again = Mailbox(running.mailbox.file)
    assert [mail.header("Subject") for mail in again.newest(0, 10)] == ["kept"]
    again.take("a@b", ["c@d"], b"Subject: after\r\n\r\n")
    third = Mailbox(running.mailbox.file)
    assert [mail.header("Subject") for mail in third.newest(0, 10)] == ["after", "kept"]


async def test_deleted_mails_stay_deleted_over_a_restart(running: Running) -> None:
    await running.send("one")
    await running.send("two")
    [two, _] = running.mailbox.newest(0, 2)
    await running.api.request("DELETE", "/api/v1/messages", json={"IDs": [two.id]})
    assert await running.subjects() == ["one"]
    await running.api.delete("/api/v1/messages")
    assert await running.subjects() == []
    assert len(Mailbox(running.mailbox.file)) == 0


async def test_foreign_host_names_cannot_read_mails(running: Running) -> None:
    response = await running.api.get("/api/v1/messages", headers={"Host": "evil.example"})
    assert response.status_code == 400
