"""Certificates of a test's own authorities, as files: a good one, and unfit ones."""

import asyncio
import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509

from chassis.tls import FollowingContext

HOSTS = ("localhost", "127.0.0.1")
UNFIT = ("another host", "expired", "unknown authority")


@dataclass(frozen=True)
class CertificateFiles:
    """The server's certificate with its key, in PEM; and the authorities that the client trusts."""

    ca: Path
    certificate: Path
    key: Path
    both: Path


def certificate_files(
    directory: Path,
    flaw: str = "",
    *,
    hosts: Sequence[str] = HOSTS,
    not_after: datetime.datetime | None = None,
    authority: trustme.CA | None = None,
) -> CertificateFiles:
    """For a server on this machine. `flaw`: one of UNFIT; empty for a certificate without one.

    `not_after`: when it expires, with a time zone; by default after a day. `authority`: by default a new one.
    """
    authority, trusted = authority or trustme.CA(), trustme.CA()
    now = datetime.datetime.now(datetime.UTC)
    issued = authority.issue_cert(
        *(("elsewhere.example",) if flaw == "another host" else hosts),
        not_before=now - datetime.timedelta(days=2),
        not_after=not_after or now + datetime.timedelta(days=-1 if flaw == "expired" else 1),
    )
    directory.mkdir(parents=True, exist_ok=True)
    files = CertificateFiles(*(directory / name for name in ("ca.pem", "cert.pem", "key.pem", "both.pem")))
    (trusted if flaw == "unknown authority" else authority).cert_pem.write_to_path(files.ca)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(files.certificate, append=True)
    issued.private_key_pem.write_to_path(files.key)
    issued.private_key_and_cert_chain_pem.write_to_path(files.both)
    files.key.chmod(0o600)
    files.both.chmod(0o600)
    return files


def server_context(files: CertificateFiles) -> ssl.SSLContext:
    """For a server that presents this certificate, and follows its files."""

    def build() -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files.certificate, files.key)
        return context

    return FollowingContext(ssl.PROTOCOL_TLS_SERVER, build, [files.certificate, files.key])


def replace_file(file: Path, content: bytes) -> None:
    """At once, as Kubernetes replaces the files of a Secret: a reader sees the old content or the new one."""
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(content)
    new.chmod(0o600)
    new.replace(file)


def replace_certificate(files: CertificateFiles, by: CertificateFiles) -> None:
    """The certificate and its key. The authorities stay."""
    for name in ("certificate", "key", "both"):
        replace_file(getattr(files, name), getattr(by, name).read_bytes())


async def presented(port: int, context: ssl.SSLContext, host: str = "localhost") -> str:
    """The serial number of the certificate that a new connection gets. Raises ssl.SSLError if it is unfit."""
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.close()
    certificate = writer.get_extra_info("peercert")
    return str(certificate["serialNumber"])


def serial_of(files: CertificateFiles) -> str:
    """In the form in which `presented` returns it."""
    found = x509.load_pem_x509_certificate(files.certificate.read_bytes()).serial_number
    text = f"{found:X}"
    return text if len(text) % 2 == 0 else f"0{text}"
