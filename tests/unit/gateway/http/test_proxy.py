"""The relay of a staff page: a response that is cut off does not look complete."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.http import proxy
from gateway.http.proxy import AccessEnded, relay


async def chunks(*given: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for chunk in given:
        yield chunk
        await asyncio.sleep(0)
    if error is not None:
        raise error


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def read(relayed: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in relayed]


async def test_a_whole_response_is_relayed() -> None:
    assert await read(relay(chunks(b"a", b"b"), yes, is_event_stream=False)) == [b"a", b"b"]


async def test_a_download_is_cut_off_when_the_role_is_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "CHECK_S", 0.0)
    with pytest.raises(AccessEnded):
        await read(relay(chunks(b"a"), no, is_event_stream=False))
    assert await read(relay(chunks(b"a"), no, is_event_stream=True)) == []


async def test_a_broken_upstream_is_not_relayed_as_an_end() -> None:
    broken = chunks(b"a", error=ConnectionResetError())
    with pytest.raises(ConnectionResetError):
        await read(relay(broken, yes, is_event_stream=False))
