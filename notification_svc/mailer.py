"""Runs the delivery effect: requests the address, renders the mail, and hands it to the mail server.

SMTP has no exactly-once delivery: after a crash between the server's acceptance and the database write, the
mail is sent again with the same Message-ID.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from email.message import Message

import httpx

from chassis import instances, tls
from chassis.core.definition import EffectHandler, EffectUnavailable
from contracts.http.users import Recipient
from contracts.notifications import MailKind
from notification_svc import render
from notification_svc.domains import DomainBusy, DomainShares
from notification_svc.links import LinkTokenMissing, link
from notification_svc.mail import Deferred, Deliver, DeliveryResult, Mail, Sent, Superseded, Undeliverable
from notification_svc.mail_server import MailDeferredByServer, MailRejected, SmtpClient
from notification_svc.render import AddressNotUsable
from notification_svc.service import EFFECTS_MAX
from notification_svc.settings import GIVE_UP_AFTER, NotificationSettings
from notification_svc.user_client import REQUEST_S_MAX, RecipientClient, UserNotFound

PAUSE_MIN, PAUSE_MAX = timedelta(seconds=30), timedelta(hours=4)
SHORT_PAUSE = timedelta(seconds=5)
_DOUBLINGS_MAX = 16


class NewerMailExists(Exception):
    """A newer mail about the account supersedes this one. `by`: the kind of that mail."""

    def __init__(self, by: MailKind) -> None:
        super().__init__(by)
        self.by = by


class AddressChanged(Exception):
    """The mail was rendered for an address that is no longer the user's."""


class Mailer:
    """`shop_url`: the base URL of the links in mails."""

    def __init__(
        self,
        recipients: RecipientClient,
        mail_server: SmtpClient,
        sender: str,
        shop_url: str,
        clock: Callable[[], datetime],
        give_up_after: timedelta = GIVE_UP_AFTER,
        slots: int = EFFECTS_MAX,
    ) -> None:
        self._give_up_after = give_up_after
        self._domains = DomainShares(slots)
        self._recipients = recipients
        self._mail_server = mail_server
        self._clock = clock
        self._sender = sender
        self._shop_url = shop_url

    async def deliver(self, request: Deliver, first_asked: datetime | None = None) -> DeliveryResult:
        """Delivers a mail, whatever its age: a late mail is better than none,
        and a mail server deduplicates no keys anyway.

        Raises EffectUnavailable while user_svc or the mail server is unavailable. A problem of one recipient
        is a result: a deferred mail waits in the database with growing pauses, and is given up after some
        days.
        """
        mail = request.mail
        try:
            recipient = await self._recipient_of(mail)
            leads_to = link(mail, self._shop_url, recipient.link_token)
            email_message = render.render_mail(mail, recipient, self._sender, leads_to, self._clock())
            await self._send(
                email_message, recipient.email.rpartition("@")[2].casefold(), self._recheck(mail, recipient)
            )
        except NewerMailExists as old:
            return Superseded(old.by)
        except AddressChanged as changed:
            return self._deferred(mail, str(changed), soon=True)
        except UserNotFound:
            return Undeliverable("the user is gone")
        except AddressNotUsable:
            return Undeliverable("no mail can be sent to the user's address")
        except LinkTokenMissing:
            return Undeliverable("user_svc gives no link for it")
        except MailRejected as rejection:
            return Undeliverable(str(rejection))
        except DomainBusy as busy:
            return self._deferred(mail, str(busy), soon=not busy.failing)
        except MailDeferredByServer as later:
            return self._deferred(mail, str(later))
        return Sent()

    async def _recipient_of(self, mail: Mail) -> Recipient:
        recipient = await self._recipients.of(mail.user_id, mail.kind, mail.about)
        if recipient.superseded_by is not None:
            raise NewerMailExists(recipient.superseded_by)
        return recipient

    def _recheck(self, mail: Mail, recipient: Recipient) -> Callable[[], Awaitable[None]]:
        """Checks the recipient again when the mail server is ready for the data,
        because connecting can take long.
        """

        async def recheck() -> None:
            if (await self._recipient_of(mail)).email != recipient.email:
                raise AddressChanged("the address has changed while the mail was on its way")

        return recheck

    async def _send(
        self, email_message: Message, domain: str, recheck: Callable[[], Awaitable[None]]
    ) -> None:
        with self._domains.slot(domain):
            try:
                await self._mail_server.send(email_message, recheck)
            except MailDeferredByServer:
                self._domains.failed(domain)
                raise
            except EffectUnavailable:
                self._domains.doubted(domain)
                raise
            self._domains.succeeded(domain)

    def _deferred(self, mail: Mail, why: str, *, soon: bool = False) -> DeliveryResult:
        """The result with the time of the next attempt, or the end of all attempts."""
        now = self._clock()
        if mail.deferred_since is not None and now - mail.deferred_since >= self._give_up_after:
            return Undeliverable(f"given up after {self._give_up_after.days} days: {why}")
        pause = SHORT_PAUSE if soon else min(PAUSE_MIN * 2 ** min(mail.tries, _DOUBLINGS_MAX), PAUSE_MAX)
        return Deferred(now, now + pause, counts=not soon)


@asynccontextmanager
async def open_mailer(
    settings: NotificationSettings, clock: Callable[[], datetime]
) -> AsyncIterator[EffectHandler[Deliver, DeliveryResult]]:
    """The mailer with its connections, open while the service runs."""
    mail_server = SmtpClient(
        settings.smtp_url,
        settings.smtp_password,
        context=tls.client_context(settings.smtp_ca_file),
        tls_required=settings.tls_required,
    )
    context = settings.client_tls()
    transport = instances.transport(settings.instances_file, context)
    async with httpx.AsyncClient(
        base_url=settings.user_svc_url, timeout=REQUEST_S_MAX, transport=transport, verify=context
    ) as http:
        try:
            recipients = RecipientClient(http, settings.current_service_token)
            mailer = Mailer(
                recipients,
                mail_server,
                settings.mail_from,
                settings.shop_url,
                clock,
                settings.mail_give_up_after,
            )
            yield mailer.deliver
        finally:
            mail_server.close()
