"""Reads handled and emitted messages from the services' `GET /handled/{kind}`: all, open ones,
or recent ones.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from datetime import datetime

import httpx

from journey.admin.diagnosis.pending_messages import KEPT
from journey.admin.errors import failure_of
from journey.admin.paging import Json, growing, joined, read_ahead

PAGE = 500
NO_RESPONSE = "it does not respond"
Kind = tuple[str, str]  # service, kind of aggregate


class Reader:
    """Reads each service's handled messages.

    A service that does not respond is added to `silent`, with the reason, and not asked again.
    """

    def __init__(
        self, http: httpx.AsyncClient, addresses: Mapping[str, str], silent: Collection[str]
    ) -> None:
        self._http = http
        self._addresses = addresses
        self.silent = {service: NO_RESPONSE for service, kinds in KEPT.items() if kinds and service in silent}

    @property
    def kinds(self) -> list[Kind]:
        return [
            (service, kind) for service, kinds in KEPT.items() for kind in kinds if service not in self.silent
        ]

    async def about(self, subjects: Collection[str]) -> dict[Kind, list[Json]]:
        """The handled messages of all aggregates with one of these subjects."""
        which = {"about": ",".join(subjects)}
        kinds = self.kinds
        pages = await asyncio.gather(*(self._page(kind, which) for kind in kinds))
        return dict(zip(kinds, pages, strict=True))

    async def all(self) -> AsyncGenerator[tuple[str, dict[Kind, list[Json]]], None]:
        """Sorted by subject."""
        async for found in joined({kind: self._by_key(kind, {}) for kind in self.kinds}, _of):
            yield found

    async def open(self) -> AsyncGenerator[str, None]:
        """The subjects that are not at rest, sorted."""
        which = {"is_open": "true"}
        async for subject, _ in joined({kind: self._by_key(kind, which) for kind in self.kinds}, _of):
            yield subject

    async def changed(self, since: datetime) -> AsyncGenerator[str, None]:
        """The subjects changed since then, one service after the other; a subject can occur several times."""
        for kind in self.kinds:
            sizes = growing(PAGE)

            async def page(last: Json | None, kind: Kind = kind, sizes: Iterator[int] = sizes) -> list[Json]:
                after = {"after": last["key"]} if last else {}
                at = last["changed_at"] if last else since.isoformat()
                return await self._page(kind, {"changed_since": at, **after}, next(sizes))

            async for item in read_ahead(page):
                yield subject_of(item)

    def _by_key(self, kind: Kind, which: Mapping[str, str]) -> AsyncGenerator[Json, None]:
        sizes = growing(PAGE)

        async def page(last: Json | None) -> list[Json]:
            return await self._page(kind, {**which, **({"after": last["key"]} if last else {})}, next(sizes))

        return read_ahead(page)

    async def _page(self, kind: Kind, which: Mapping[str, str], limit: int = PAGE) -> list[Json]:
        service, name = kind
        if service in self.silent:
            return []
        try:
            where = f"{self._addresses[service]}/handled/{name}"
            response = await self._http.get(where, params={"limit": limit, **which})
            page: list[Json] = response.raise_for_status().json()
        except httpx.HTTPError as error:
            failure = failure_of(error, None)
            self.silent[service] = failure.cause if failure else NO_RESPONSE
            return []
        except ValueError:
            self.silent[service] = "its response is not a service's"
            return []
        return page


def subject_of(item: Json) -> str:
    """An aggregate's subject: its key is the subject, or `<subject>:<anything>`."""
    return str(item["key"]).partition(":")[0]


def _of(kind: Kind, item: Json) -> str:
    return subject_of(item)
