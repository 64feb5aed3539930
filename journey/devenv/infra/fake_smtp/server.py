"""A mail server for demos and tests: accepts SMTP, delivers nothing, and shows the received mails.

Usage: `python -m journey.devenv.infra.fake_smtp.server --smtp-port 1025 --http-port 8025 --file mails.jsonl`.
"""

import argparse
import asyncio
import functools
import logging
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session

from journey.devenv.infra.fake_smtp.store import Faults, Mailbox
from journey.devenv.infra.fake_smtp.web import web_app

MAIL_BYTES_MAX = 10 * 2**20
LOOPBACK = "127.0.0.1"


class Receiver:
    """Handler for aiosmtpd, which calls it with complete mails.

    A sender that disconnects earlier has sent nothing.
    """

    def __init__(self, mailbox: Mailbox, faults: Faults) -> None:
        self.mailbox = mailbox
        self.faults = faults

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        if self.faults.refuses():
            return "451 4.3.0 temporarily refused, try again later"
        if self.faults.delay_ms:
            await asyncio.sleep(self.faults.delay_ms / 1000)
        raw = envelope.content or b""
        content = raw if isinstance(raw, bytes) else raw.encode()
        mail = self.mailbox.take(envelope.mail_from or "", envelope.rcpt_tos, content)
        return f"250 2.0.0 kept as {mail.id}"


async def listen_smtp(receiver: Receiver, port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    smtp = functools.partial(
        SMTP,
        receiver,
        loop=loop,
        hostname="mailbox.localhost",
        ident="Order Journey mailbox",
        enable_SMTPUTF8=True,
        data_size_limit=MAIL_BYTES_MAX,
    )
    return await loop.create_server(smtp, LOOPBACK, port)


async def serve(mailbox: Mailbox, faults: Faults, *, smtp_port: int, http_port: int) -> None:
    """Serve until a signal stops the process."""
    smtp = await listen_smtp(Receiver(mailbox, faults), smtp_port)
    config = uvicorn.Config(
        web_app(mailbox, faults),
        host=LOOPBACK,
        port=http_port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    print(f"mailbox: smtp://{LOOPBACK}:{smtp_port}, page and API: http://{LOOPBACK}:{http_port}", flush=True)
    async with smtp:
        await uvicorn.Server(config).serve()


def main() -> None:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(
        prog="python -m journey.devenv.infra.fake_smtp.server", description=summary
    )
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--http-port", type=int, default=8025)
    parser.add_argument("--delay-ms", type=int, default=0, help="delay of each response, in milliseconds")
    parser.add_argument("--file", type=Path, help="file that keeps the mails across restarts")
    options = parser.parse_args()
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd logs every command otherwise
    mailbox = Mailbox(options.file)
    faults = Faults(delay_ms=options.delay_ms)
    asyncio.run(serve(mailbox, faults, smtp_port=options.smtp_port, http_port=options.http_port))


if __name__ == "__main__":
    main()
