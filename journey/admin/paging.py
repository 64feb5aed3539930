"""Reads and merges long sorted lists from several services; holds one page of each in memory."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeVar

import httpx

Json = dict[str, Any]
PAGE = 500
_FIRST = 10
_RESPONSE_S_MAX = 20.0
Fetch = Callable[[Json | None], Awaitable[list[Json]]]
"""Fetches the page after an item, or the first page for None; returns an empty list at the end."""

Name = TypeVar("Name")
Item = TypeVar("Item")


async def read_ahead(fetch: Fetch) -> AsyncGenerator[Json, None]:
    """All items. The next page is fetched while the caller works on this one."""
    page = await fetch(None)
    while page:
        following = asyncio.ensure_future(fetch(page[-1]))
        try:
            for item in page:
                yield item
            page = await following
        finally:
            following.cancel()


async def pages(http: httpx.AsyncClient, url: str, **which: str) -> AsyncGenerator[Json, None]:
    """All items of a list. Raises httpx.HTTPError if its service does not respond."""
    after = ""
    first = True
    sizes = growing(PAGE)

    async def page(last: Json | None) -> list[Json]:
        nonlocal after, first
        if not first and not after:
            return []
        first = False
        query = {"limit": str(next(sizes)), **which, **({"after": after} if after else {})}
        response = await http.get(url, params=query, timeout=_RESPONSE_S_MAX)
        found = response.raise_for_status().json()
        after = found["next"] or ""
        items: list[Json] = found["items"]
        return items

    async with aclosing(read_ahead(page)) as items:
        async for item in items:
            yield item


async def joined(
    lists: Mapping[Name, AsyncGenerator[Json, None]], key: Callable[[Name, Json], str]
) -> AsyncGenerator[tuple[str, dict[Name, list[Json]]], None]:
    """For each key, in ascending order, the items with that key in every list.

    Each list must be sorted by the key.
    """
    async with AsyncExitStack() as stack:
        rest = {name: await stack.enter_async_context(aclosing(items)) for name, items in lists.items()}
        firsts = await asyncio.gather(*(anext(items, None) for items in rest.values()))
        heads = {name: first for name, first in zip(rest, firsts, strict=True) if first is not None}
        while heads:
            lowest = min(key(name, item) for name, item in heads.items())
            found: dict[Name, list[Json]] = {}
            for name in list(heads):
                while name in heads and key(name, heads[name]) == lowest:
                    found.setdefault(name, []).append(heads.pop(name))
                    if (following := await anext(rest[name], None)) is not None:
                        heads[name] = following
            yield lowest, found


async def batched(items: AsyncGenerator[Item, None], size: int) -> AsyncGenerator[list[Item], None]:
    """Batches of the sizes that `growing` yields."""
    sizes = growing(size)
    async with aclosing(items) as each:
        batch: list[Item] = []
        due = next(sizes)
        async for item in each:
            batch.append(item)
            if len(batch) == due:
                yield batch
                batch, due = [], next(sizes)
    if batch:
        yield batch


def growing(most: int) -> Iterator[int]:
    """Page sizes: small at first, so that the first result comes quickly, then doubled up to `most`."""
    size = min(_FIRST, most)
    while True:
        yield size
        size = min(2 * size, most)
