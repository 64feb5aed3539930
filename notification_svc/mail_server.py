"""The SMTP client. It reuses connections, because a handshake costs more than a mail."""

import asyncio
import re
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

# RFC 5321, 4.5.3.2.6: whoever gives up on a server that has the whole mail is likely to send it twice. So we are
# patient, but not beyond the twenty seconds in which a service that goes finishes what it holds.
SEND_S_MAX = 15.0
_GREETING_NAME = "notification.order-journey.example"  # of our own: the default asks the DNS


# Enhanced status codes (RFC 3463, section 3.4) whose subject is the server itself: they are no verdict on one mail.
_ABOUT_THE_SERVER = re.compile(r"4\.[34]\.\d")
_CLOSING = 421


Check = Callable[[], Awaitable[None]]


class MailDeferredByServer(Exception):
    """The mail server is there, and will not take this one mail now: an answer about its recipient, or none in time."""


class MailRejected(Exception):
    """The mail server will never take this mail. Says a code only: what servers say repeats addresses."""


class _Session(SMTP):
    """Notes how far a mail has come: silence after `RCPT TO` is about the recipient, any other is the server's."""

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
    """As many connections as there are mails under way at once; the bulkhead round the effects limits that."""

    def __init__(self, url: str, password: str = "") -> None:
        self._url, self._password = urlsplit(url), password
        self._idle: list[_Session] = []

    async def send(self, email_message: Message, before_data: Check | None = None) -> None:
        """Returns when the server has taken it. `before_data`: awaited last; if it raises, nothing is sent.

        Raises Refused, or TryLater for what concerns this mail only, or EffectUnavailable while the server is away or
        refuses the session (RFC 5321, section 4.2.1).
        """
        try:
            await self._send(email_message, before_data)
        except SMTPRecipientsRefused as error:
            raise _error_for_reply(error.recipients[0].code, "") from None
        except SMTPDataError as error:
            raise _error_for_reply(error.code, error.message) from None
        except (SMTPNotSupported, ValueError):
            raise MailRejected("the mail server takes no such address") from None
        except (SMTPException, OSError) as error:  # a refused login or sender too: ours to mend, not the mail's fault
            raise EffectUnavailable(f"the mail server: {type(error).__name__}") from None

    async def _send(self, email_message: Message, before_data: Check | None) -> None:
        connection = self._reuse_connection() or await self._connect()
        connection.before_data = before_data
        try:
            async with asyncio.timeout(SEND_S_MAX):
                await connection.send_message(email_message)
        except (SMTPRecipientsRefused, SMTPDataError):
            self._idle.append(connection)  # aiosmtplib has begun afresh with RSET
            raise
        except TimeoutError:
            connection.close()
            if connection.about_recipient:
                raise MailDeferredByServer("no answer in time") from None
            raise
        except BaseException:  # also a time limit: nobody knows what the server is about to say
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
            password=self._password or None,
            local_hostname=_GREETING_NAME,
            timeout=SEND_S_MAX,
            use_tls=tls,
            start_tls=True if user and not tls else None,  # a password is never sent in the clear
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
    """What a negative reply to `RCPT TO` (`message` empty) or to the end of the data means for the mail."""
    if code >= 500:
        return MailRejected(f"the mail server refuses it ({code})")
    if code == _CLOSING or _ABOUT_THE_SERVER.match(message):
        return EffectUnavailable(f"the mail server takes no mail now ({code})")
    return MailDeferredByServer(f"the mail server asks to try later ({code})")
