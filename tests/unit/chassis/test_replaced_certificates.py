"""Certificates and authorities are replaced while programs run: their contexts follow the files."""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from structlog.testing import CapturingLogger

from chassis import telemetry
from chassis.tls import client_context
from tests.support.certificates import (
    CertificateFiles,
    certificate_files,
    presented,
    replace_certificate,
    replace_file,
    serial_of,
)
from tests.unit.chassis.test_tls import service


def issued(directory: Path, authority: trustme.CA) -> CertificateFiles:
    return certificate_files(directory, authority=authority)


async def test_a_replaced_certificate_counts_from_the_next_connection(tmp_path: Path) -> None:
    authority = trustme.CA()
    files, new = issued(tmp_path / "own", authority), issued(tmp_path / "new", authority)
    old, context = serial_of(files), client_context(files.ca)
    async with service(files) as port, httpx.AsyncClient(verify=context) as http:
        url = f"https://localhost:{port}/stock"
        assert (await http.get(url)).is_success
        assert await presented(port, context) == old
        replace_certificate(files, new)
        assert await presented(port, context) == serial_of(new) != old
        assert (await http.get(url)).is_success, "the open connection"


async def test_a_certificate_waits_for_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two files are replaced one after the other."""
    log = CapturingLogger()
    monkeypatch.setattr(telemetry, "log", log)
    authority = trustme.CA()
    files, new = issued(tmp_path / "own", authority), issued(tmp_path / "new", authority)
    old, context = serial_of(files), client_context(files.ca)
    async with service(files) as port:
        replace_file(files.certificate, new.certificate.read_bytes())
        assert [await presented(port, context) for _ in range(3)] == [old] * 3
        assert [call.args for call in log.calls] == [("unfit certificate files",)], "once"
        replace_file(files.key, new.key.read_bytes())
        assert await presented(port, context) == serial_of(new)


async def test_clients_follow_an_authority_that_is_replaced(tmp_path: Path) -> None:
    """Both are trusted for a while; then the old one is not trusted any more."""
    first, second = trustme.CA(), trustme.CA()
    old, new = issued(tmp_path / "old", first), issued(tmp_path / "new", second)
    trusted = tmp_path / "trusted.pem"
    context = client_context_of(trusted, old.ca.read_bytes())
    async with service(old) as before, service(new) as after:
        assert await accepted(context, before, after) == [True, False]
        replace_file(trusted, old.ca.read_bytes() + new.ca.read_bytes())
        assert await accepted(context, before, after) == [True, True]
        replace_file(trusted, new.ca.read_bytes())
        assert await accepted(context, before, after) == [False, True]


@pytest.mark.parametrize("content", [b"", b"no certificate", None], ids=["empty", "garbage", "missing"])
async def test_unfit_authorities_change_nothing(tmp_path: Path, content: bytes | None) -> None:
    files = certificate_files(tmp_path / "own")
    stranger = certificate_files(tmp_path / "stranger")
    trusted = tmp_path / "trusted.pem"
    context = client_context_of(trusted, files.ca.read_bytes())
    async with service(files) as known, service(stranger) as unknown:
        if content is None:
            trusted.unlink()
        else:
            replace_file(trusted, content)
        assert await accepted(context, known, unknown) == [True, False]
        replace_file(trusted, stranger.ca.read_bytes())
        assert await accepted(context, known, unknown) == [False, True]


def client_context_of(file: Path, authorities: bytes) -> ssl.SSLContext:
    replace_file(file, authorities)
    return client_context(file)


async def accepted(context: ssl.SSLContext, *ports: int) -> list[bool]:
    """For each server: whether HTTP clients with this context accept it."""

    async def accepts(port: int) -> bool:
        try:
            async with httpx.AsyncClient(verify=context) as http:
                return (await http.get(f"https://localhost:{port}/stock")).is_success
        except httpx.ConnectError:
            return False

    return await asyncio.gather(*map(accepts, ports))
