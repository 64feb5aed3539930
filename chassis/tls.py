"""TLS contexts that follow their files: a replaced certificate counts from the next connection on."""

import functools
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from chassis import telemetry

FileVersion = tuple[int, int, int]


def file_version(file: Path) -> FileVersion | None:
    """Differs when the file has been written or replaced. None if there is no such file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class FollowingContext(ssl.SSLContext):
    """Looks at its files for each connection, and builds the context again if one has changed.

    While the files are unfit, such as a new certificate beside the old key, the last good context stays.
    Open connections are not concerned.
    """

    def __new__(cls, protocol: int, build: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> Any:
        return super().__new__(cls, protocol)

    def __init__(self, protocol: int, build: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> None:
        """`protocol`: ssl.PROTOCOL_TLS_CLIENT or _SERVER. Raises OSError if a file is unfit."""
        self._build = build
        self._files = files
        self._alpn: list[str] = []
        self._versions = self._refused = self._versions_now()
        self._built = build()

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return self._latest().wrap_bio(
            incoming, outgoing, server_side=server_side, server_hostname=server_hostname, session=session
        )

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        return self._latest().wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=server_hostname,
            session=session,
        )

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        self._alpn = list(alpn_protocols)
        self._built.set_alpn_protocols(self._alpn)

    def _latest(self) -> ssl.SSLContext:
        versions = self._versions_now()  # before the files are read, so that no change is missed
        if versions == self._versions:
            return self._built
        try:
            built = self._build()
        except OSError as error:  # ssl.SSLError is one, too
            if versions != self._refused:
                self._refused = versions
                telemetry.log.warning("unfit certificate files", files=self._names, error=str(error))
            return self._built
        if self._alpn:
            built.set_alpn_protocols(self._alpn)
        self._built = built
        self._versions = versions
        telemetry.log.info("using the new certificate files", files=self._names)
        return built

    def _versions_now(self) -> list[FileVersion | None]:
        return [file_version(file) for file in self._files]

    @property
    def _names(self) -> list[str]:
        return [str(file) for file in self._files]


@functools.cache
def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """For the clients of other programs: it verifies the certificate and the host name.

    `ca_file`: the only authorities trusted, in PEM; the context follows the file. By default those of the
    system. Cached, because creating a context takes about 30 ms. Raises OSError or ssl.SSLError if the file
    is unfit.
    """
    if ca_file is None:
        return _client_context(None)
    build = functools.partial(_client_context, str(ca_file))
    return FollowingContext(ssl.PROTOCOL_TLS_CLIENT, build, [ca_file])


def _client_context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
