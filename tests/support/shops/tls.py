"""The shop as processes that use TLS for every connection, with an authority of the test."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from journey.admin.endpoints import GATEWAY
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ProcessShop
from tests.support.certificates import CertificateFiles
from tests.support.fork_server import ForkServerProcesses
from tests.support.tls_servers import HOST, TlsMongo, TlsRabbit

# Options in the URLs of administrators. Services are configured with TLS_CA_FILE instead.
_AUTHORITY_OPTIONS = ("cafile", "tlsCAFile")


class TlsShop(ProcessShop):
    """Every process has the certificate for `localhost`, trusts the test's authority only, and requires TLS.

    This process must trust the authority, too: by SSL_CERT_FILE.
    """

    def __init__(
        self, state_dir: Path, infrastructure: Infrastructure, files: CertificateFiles, **options: Any
    ) -> None:
        super().__init__(state_dir, infrastructure, own_ports=True, **options)
        self.processes = ForkServerProcesses(state_dir)
        self._files = files
        for name, address in self.endpoints.http.items():
            self.endpoints.http[name] = address.replace("http://127.0.0.1:", f"https://{HOST}:")

    def environment(self, name: str, instance: int = 1) -> dict[str, str]:
        found = super().environment(name, instance)
        found.pop("SSL_CERT_FILE", None)  # the authority comes from the settings
        for url in ("AMQP_URL", "MONGO_URL"):
            if url in found:
                found[url] = without_options(found[url], _AUTHORITY_OPTIONS)
        return found | {
            "TLS_REQUIRED": "1",
            "TLS_CA_FILE": str(self._files.ca),
            "SMTP_CA_FILE": str(self._files.ca),
            "TLS_CERTIFICATE_FILE": str(self._files.certificate),
            "TLS_KEY_FILE": str(self._files.key),
        }

    @property
    def gateway_port(self) -> int:
        """Of the public API, which has no TLS: a proxy has it."""
        return int(self.endpoints.public[GATEWAY].rpartition(":")[2])


def without_options(url: str, names: tuple[str, ...]) -> str:
    base, _, query = url.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name not in names]
    return f"{base}?{urlencode(kept)}" if kept else base


@asynccontextmanager
async def tls_servers(home: Path, files: CertificateFiles) -> AsyncIterator[tuple[TlsRabbit, TlsMongo]]:
    """A broker and a database that accept TLS only."""
    rabbit, mongo = TlsRabbit(home, files), TlsMongo(home, files)
    try:
        await rabbit.start(_quiet)
        await mongo.start(_quiet)
        yield rabbit, mongo
    finally:
        await mongo.kill()
        await rabbit.stop()


def _quiet(_text: str) -> None:
    pass


def infrastructure_of(
    rabbit: TlsRabbit, mongo: TlsMongo, ca: Path, mail: Mapping[str, str]
) -> Infrastructure:
    """`mail`: the addresses `smtp_url` and `mailbox_url`."""
    return Infrastructure(
        kind="local",
        amqp_url=rabbit.amqp_url_at(HOST, ca).replace("/%2F", "/"),
        management_url=rabbit.management_url,
        mongo_url=mongo.url,
        smtp_url=mail["smtp_url"],
        mailbox_url=mail["mailbox_url"],
        said="",
    )
