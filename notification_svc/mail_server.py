"""The SMTP client. It reuses connections, because a handshake costs more than a mail."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from email.message import Message
from typing import Any
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponse,
)

from chassis.core.definition import EffectUnavailable
from chassis.telemetry import tracing
from chassis.telemetry.semantic_conventions import SERVER_ADDRESS

# RFC 5321, section 4.5.3.2.6: a client that gives up after sending the whole mail is likely to send it twice.
# So the limit is long, but within the twenty seconds in which a service finishes its work at shutdown.
SEND_S_MAX = 15.0
_GREETING_NAME = "notification.order-journey.example"  # fixed, because the default queries the DNS


# Enhanced status codes (RFC 3463, section 3.4) about the server itself: they say nothing about one mail.
_ABOUT_THE_SERVER = re.compile(r"4\.[34]\.\d")
_CLOSING = 421


Check = Callable[[], Awaitable[None]]


class MailDeferredByServer(Exception):
    """The mail server is up but does not take this mail now: its reply is about the recipient,
    or it did not reply in time.
    """


class MailRejected(Exception):
    """The mail server rejects this mail permanently.

    The error holds a code only: the server's text may repeat addresses.
    """


class _Session(SMTP):
    """Records the progress of a mail: a timeout after `RCPT TO` concerns the recipient,
    any other the server.
    """

    about_recipient = False
    before_data: Check | None = None

    async def mail(self, *args: Any, **options: Any) -> SMTPResponse:
        self.about_recipient = False
        return await super().mail(*args, **options)

    async def rcpt(self, *args: Any, **options: Any) -> SMTPResponse:
        self.about_recipient = True
        return await super().rcpt(*args, **options)

    async def data(self, *args: Any, **options: Any) -> SMTPResponse:
        self.about_recipient = False
        if self.before_data is not None:
            await self.before_data()
        return await super().data(*args, **options)


class SmtpClient:
    """One connection per concurrent mail; the bulkhead around the effects limits their number."""

    def __init__(
        self,
        url: str,
        password: Callable[[], str] = str,
        *,
        context: ssl.SSLContext | None = None,
        tls_required: bool = False,
    ) -> None:
        """`password`: called for each connection. `context`: by default the system's authorities are trusted.

        `tls_required`: send nothing without TLS, even without a login.
        """
        self._url = urlsplit(url)
        self._password = password
        self._context = context
        self._tls_required = tls_required
        self._idle: list[_Session] = []

    async def send(self, email_message: Message, before_data: Check | None = None) -> None:
        """Returns when the server has accepted the mail.

        `before_data`: awaited last; if it raises, nothing is sent.

        Raises MailRejected, or MailDeferredByServer if only this mail is affected, or EffectUnavailable if
        the server is down or rejects the session (RFC 5321, section 4.2.1).
        """
        try:
            await self._send(email_message, before_data)
        except SMTPRecipientsRefused as error:
            raise _error_for_reply(error.recipients[0].code, "") from None
        except SMTPDataError as error:
            raise _error_for_reply(error.code, error.message) from None
        except ssl.SSLError as error:  # before ValueError, which a refused certificate is, too
            raise EffectUnavailable(f"the mail server: {type(error).__name__}") from None
        except (SMTPNotSupported, ValueError):
            raise MailRejected("the mail server does not support this address") from None
        except (
            SMTPException,
            OSError,
        ) as error:  # includes a rejected login or sender: a configuration error, not the mail's
            raise EffectUnavailable(f"the mail server: {type(error).__name__}") from None

    async def _send(self, email_message: Message, before_data: Check | None) -> None:
        address: dict[str, tracing.Attribute] = {SERVER_ADDRESS: self._url.hostname or ""}
        with tracing.child_span("SMTP", "client", address):
            await self._send_on_connection(email_message, before_data)

    async def _send_on_connection(self, email_message: Message, before_data: Check | None) -> None:
        connection = self._reuse_connection() or await self._connect()
        connection.before_data = before_data
        # including a timeout: the server may still reply, so the connection is unusable
        try:
            async with asyncio.timeout(SEND_S_MAX):
                await connection.send_message(email_message)
        except (SMTPRecipientsRefused, SMTPDataError):
            self._idle.append(connection)  # aiosmtplib has reset the session with RSET
            raise
        except TimeoutError:
            connection.close()
            if connection.about_recipient:
                raise MailDeferredByServer("no reply in time") from None
            raise
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _reuse_connection(self) -> _Session | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected:
                return connection
        return None

    async def _connect(self) -> _Session:
        user = unquote(self._url.username or "")
        tls = self._url.scheme == "smtps"
        connection = _Session(
            hostname=self._url.hostname,
            port=self._url.port,
            username=user or None,
            password=self._password() or None,
            local_hostname=_GREETING_NAME,
            timeout=SEND_S_MAX,
            use_tls=tls,
            # A password is never sent in the clear.
            start_tls=True if (user or self._tls_required) and not tls else None,
            tls_context=self._context,
        )
        try:
            async with asyncio.timeout(SEND_S_MAX):
                await connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()


def _error_for_reply(code: int, message: str) -> Exception:
    """The error for a negative reply to `RCPT TO` (`message` is empty) or to the end of the data."""
    if code >= 500:
        return MailRejected(f"the mail server rejects it ({code})")
    if code == _CLOSING or _ABOUT_THE_SERVER.match(message):
        return EffectUnavailable(f"the mail server accepts no mail now ({code})")
    return MailDeferredByServer(f"the mail server asks to try later ({code})")
