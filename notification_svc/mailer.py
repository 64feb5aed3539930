"""Answers the decider's question: finds out the address, writes the mail, hands it to the mail server.

SMTP knows no exactly-once: a crash after the server took a mail and before we wrote that down sends it again,
under the same Message-ID.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import httpx

from chassis.service import Perform
from notification_svc import letter
from notification_svc.contacts import ASK_S_MAX, Contacts, UserGone
from notification_svc.letter import NoAddress
from notification_svc.links import NoLink, link
from notification_svc.mail import Answer, Deliver, Sent, Undeliverable
from notification_svc.mail_server import MailServer, Refused
from notification_svc.settings import NotificationSettings


class Mailer:
    """`shop_url`: where the pages are that its mails lead to."""

    def __init__(
        self,
        contacts: Contacts,
        mail_server: MailServer,
        sender: str,
        shop_url: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._contacts, self._mail_server, self._clock = contacts, mail_server, clock
        self._sender, self._shop_url = sender, shop_url

    async def deliver(self, question: Deliver, first_asked: datetime | None = None) -> Answer:
        """However long ago it was asked for: late is better than never, and a mail server has no memory of keys anyway.

        Raises EffectUnavailable while user_svc or the mail server is away.
        """
        mail = question.mail
        try:
            contact = await self._contacts.of(mail.user_id, mail.kind)
            leads_to = link(mail, self._shop_url, contact.link_token)
            await self._mail_server.send(letter.write(mail, contact, self._sender, leads_to, self._clock()))
        except UserGone:
            return Undeliverable("the user is gone")
        except NoAddress:
            return Undeliverable("the user's address is not one that a mail can be sent to")
        except NoLink:
            return Undeliverable("user_svc gives no link for it")
        except Refused as refusal:
            return Undeliverable(str(refusal))
        return Sent()


@asynccontextmanager
async def mailing(settings: NotificationSettings, clock: Callable[[], datetime]) -> AsyncIterator[Perform]:
    """The mailer with its connections, for as long as the service runs."""
    password = settings.smtp_password_file.read_text().strip() if settings.smtp_password_file else ""
    mail_server = MailServer(settings.smtp_url, password)
    async with httpx.AsyncClient(base_url=settings.user_svc_url, timeout=ASK_S_MAX) as http:
        try:
            contacts = Contacts(http, settings.token)
            yield Mailer(contacts, mail_server, settings.mail_from, settings.shop_url, clock).deliver
        finally:
            mail_server.close()
