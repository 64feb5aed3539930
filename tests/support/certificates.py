"""Certificates of a test's own authorities, as files: a good one, and unfit ones."""

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

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
) -> CertificateFiles:
    """For a server on this machine. `flaw`: one of UNFIT; empty for a certificate without one.

    `not_after`: when it expires, with a time zone; by default after a day.
    """
    authority, trusted = trustme.CA(), trustme.CA()
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
    """For a server that presents this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    return context
