"""A RabbitMQ and a MongoDB that accept TLS only, with a certificate for `localhost`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from chassis import tls
from journey.admin.broker.management import AdminUnavailable, BrokerAdmin
from journey.devenv.infra.local_mongo import USER, LocalMongo
from journey.devenv.infra.local_rabbit import LocalRabbit
from tests.support.certificates import CertificateFiles, certificate_files, server_context

HOST = "localhost"


class TlsMongo(LocalMongo):
    def __init__(self, state_dir: Path, files: CertificateFiles) -> None:
        super().__init__(state_dir)
        self._files = files

    @property
    def url(self) -> str:
        return self.url_at(HOST, self._files.ca)

    def url_at(self, host: str, ca: Path | None) -> str:
        """The URL under this name of the host. `ca`: the authority that the client trusts; None: no TLS."""
        options = "directConnection=true" + (f"&tls=true&tlsCAFile={ca}" if ca else "")
        return f"mongodb://{USER}:{self._kept()['password']}@{host}:{self.ports[0]}/?{options}"

    def _options(self) -> list[str | Path]:
        own: list[str | Path] = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", self._files.both]
        return [*own, "--tlsCAFile", self._files.ca, "--tlsAllowConnectionsWithoutCertificates"]

    def _client(self, port: int, *, login: bool = False) -> AsyncMongoClient[dict[str, Any]]:
        password = self._kept()["password"]
        credentials = {"username": USER, "password": password} if login else {}
        return AsyncMongoClient(
            HOST,
            port,
            directConnection=True,
            serverSelectionTimeoutMS=1000,
            tls=True,
            tlsCAFile=str(self._files.ca),
            **credentials,
        )

    async def present(self, certificate: Path) -> None:
        """New connections get the certificate of this file (with its key). Raises OperationFailure if the
        server refuses it, as it does with one that has expired already.
        """
        self._files.both.write_bytes(certificate.read_bytes())
        password = self._kept()["password"]
        # Whatever it presents at the moment.
        url = f"mongodb://{USER}:{password}@{HOST}:{self.ports[0]}/?directConnection=true&tls=true"
        async with AsyncMongoClient[dict[str, Any]](url, tlsAllowInvalidCertificates=True) as client:
            await client.admin.command("rotateCertificates")

    async def present_expired(self, directory: Path) -> Path:
        """New connections get a certificate that expired a moment ago. Returns its authority.

        The server starts with no such certificate and takes none, but keeps one that expires later.
        """
        for valid_s in (5, 25, 125):  # a slow machine needs longer to change to it
            end = datetime.now(UTC) + timedelta(seconds=valid_s)
            files = certificate_files(directory / str(valid_s), hosts=(HOST,), not_after=end)
            with suppress(OperationFailure):
                await self.present(files.both)
                await asyncio.sleep((end - datetime.now(UTC)).total_seconds() + 1)
                return files.ca
        raise AssertionError("MongoDB takes no certificate of these")


class TlsRabbit(LocalRabbit):
    """The management API uses TLS, too."""

    def __init__(self, state_dir: Path, files: CertificateFiles) -> None:
        super().__init__(state_dir, one_core=True)
        self._files = files

    def amqp_url_at(self, host: str, ca: Path | None) -> str:
        """The URL under this name of the host. `ca`: the authority that the client trusts; None: no TLS."""
        kept = self.settings
        scheme, option = ("amqps", f"?cafile={ca}") if ca else ("amqp", "")
        return f"{scheme}://operator:{kept.password}@{host}:{kept.amqp_port}/%2F{option}"

    @property
    def management_url(self) -> str:
        return super().management_url.replace("http://", "https://").replace("127.0.0.1", HOST)

    def _config(self) -> str:
        files, kept = self._files, self.settings
        plain = (f"listeners.tcp.1 = 127.0.0.1:{kept.amqp_port}\n", "management.tcp.ip = 127.0.0.1\n")
        config = super()._config().replace(f"management.tcp.port = {kept.management_port}\n", "")
        for line in plain:
            config = config.replace(line, "")
        return f"""{config}
listeners.tcp = none
listeners.ssl.1 = 127.0.0.1:{kept.amqp_port}
ssl_options.cacertfile = {files.ca}
ssl_options.certfile = {files.certificate}
ssl_options.keyfile = {files.key}
ssl_options.verify = verify_none
management.ssl.ip = 127.0.0.1
management.ssl.port = {kept.management_port}
management.ssl.cacertfile = {files.ca}
management.ssl.certfile = {files.certificate}
management.ssl.keyfile = {files.key}
"""

    async def present(self, files: CertificateFiles) -> None:
        """New connections get this certificate, whatever its flaw."""
        self._files.certificate.write_bytes(files.certificate.read_bytes())
        self._files.key.write_bytes(files.key.read_bytes())
        await self.ctl("eval", "ssl:clear_pem_cache().")

    async def _ready(self) -> bool:
        context = tls.client_context(self._files.ca)
        try:
            _, writer = await asyncio.open_connection(HOST, self.settings.amqp_port, ssl=context)
            writer.close()
            async with BrokerAdmin(self.management_url, context) as admin:
                await admin.ask("GET", "whoami")
        except (OSError, AdminUnavailable):
            return False
        return True


@asynccontextmanager
async def tls_proxy(files: CertificateFiles, port: int) -> AsyncIterator[int]:
    """A port at which this certificate is presented, for a server without TLS at `port` of this machine."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, server[1]), _copy(server[0], writer))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=server_context(files))
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
