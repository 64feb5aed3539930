"""Speaks SMTP. Connections are kept and used again: a greeting costs more than a mail."""

import asyncio
from email.message import Message
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
)

from chassis.service import EffectUnavailable

# RFC 5321, 4.5.3.2.6: whoever gives up on a server that has the whole mail is likely to send it twice. So we are
# patient, but not beyond the twenty seconds in which a service that goes finishes what it holds.
SEND_S_MAX = 15.0
_GREETING_NAME = "notification.order-journey.example"  # of our own: the default asks the DNS


class Refused(Exception):
    """The mail server will never take this mail. Says a code only: what servers say repeats addresses."""


class MailServer:
    """As many connections as there are mails under way at once; the bulkhead round the effects limits that."""

    def __init__(self, url: str, password: str = "") -> None:
        self._url, self._password = urlsplit(url), password
        self._idle: list[SMTP] = []

    async def send(self, letter: Message) -> None:
        """Returns when the server has taken it. Raises Refused, or EffectUnavailable for everything that may pass."""
        try:
            async with asyncio.timeout(SEND_S_MAX):
                await self._send(letter)
        except (SMTPRecipientsRefused, SMTPDataError) as error:
            code = error.recipients[0].code if isinstance(error, SMTPRecipientsRefused) else error.code
            if code >= 500:
                raise Refused(f"the mail server refuses it ({code})") from None
            raise EffectUnavailable(f"the mail server says: later ({code})") from None
        except (SMTPNotSupported, ValueError):
            raise Refused("the mail server takes no such address") from None
        except (SMTPException, OSError) as error:  # a refused login or sender too: ours to mend, not the mail's fault
            raise EffectUnavailable(f"the mail server: {type(error).__name__}") from None

    async def _send(self, letter: Message) -> None:
        connection = self._kept() or await self._connect()
        try:
            await connection.send_message(letter)
        except (SMTPRecipientsRefused, SMTPDataError):
            self._idle.append(connection)  # aiosmtplib has begun afresh with RSET
            raise
        except BaseException:  # also a time limit: nobody knows what the server is about to say
            connection.close()
            raise
        self._idle.append(connection)

    def _kept(self) -> SMTP | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected:
                return connection
        return None

    async def _connect(self) -> SMTP:
        user = unquote(self._url.username or "")
        tls = self._url.scheme == "smtps"
        connection = SMTP(
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
            await connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
