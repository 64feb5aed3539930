"""Finds articles by the index of their search words,
including articles whose words an earlier version stored.

Words of an earlier version lack folded accents, SKUs and more. Until they are renewed, such articles are read
and compared one by one, so that every search finds them. The first search that meets one starts renewing all
of them, page by page; an interrupted renewal continues with the next search.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from chassis import telemetry
from chassis.core.execute import execute
from chassis.runtime import Runtime
from chassis.store.conditions import holds
from chassis.store.protocol import Loaded, StoreUnavailable
from product_svc.product import Product, ProductStatus, RenewWords
from product_svc.search import search_terms, similar_words
from product_svc.service import PRODUCTS

_PAGE = 500
_STATUSES = frozenset({ProductStatus.LISTED.value, ProductStatus.WITHDRAWN.value})
# earlier versions stored no words_version
_OUTDATED: dict[str, Any] = {
    "status": _STATUSES,
    "words_version": None,
}


class Finder:
    """All methods raise StoreUnavailable while the database is down."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._store = runtime.store
        self._renewing: asyncio.Task[None] | None = None

    async def find(self, where: dict[str, Any], q: str, after: str, limit: int) -> list[Product]:
        """The articles that match `where` and the query, by SKU. A blank query matches all."""
        terms = search_terms(q)
        if q.strip() and not terms:
            return []  # single letters and symbols are not in the index
        if not terms:
            found = await self._store.find(PRODUCTS.kind, where, after=after, limit=limit)
            return [read(loaded) for loaded in found]
        exact = await self._matching(where, (terms,), after, limit)
        return exact or await self._despite_typos(where, terms, after, limit)

    async def count_by_category(self) -> dict[str, int]:
        """How many articles each category has that are sold; read from the index."""
        return await self._store.count_by(PRODUCTS.kind, "category", {"status": ProductStatus.LISTED.value})

    async def renewed(self) -> None:
        """Returns when the words of all articles are of this version;
        at once if no search has met an older one.
        """
        if self._renewing is not None:
            await self._renewing

    async def _matching(
        self, where: dict[str, Any], words: tuple[Any, ...], after: str, limit: int
    ) -> list[Product]:
        """`words`: conditions on the search words, as in `Where`."""
        wanted = where | {"words": words}
        indexed = await self._store.find(PRODUCTS.kind, wanted, after=after, limit=limit)
        outdated = await self._outdated(where, words, after, limit)
        products = {loaded.key: read(loaded) for loaded in indexed} | {each.sku: each for each in outdated}
        return [products[sku] for sku in sorted(products)][:limit]

    async def _outdated(
        self, where: dict[str, Any], words: tuple[Any, ...], after: str, limit: int
    ) -> list[Product]:
        """The first matches among the articles whose stored words are of an earlier version."""
        found: list[Product] = []
        async for product in self._all(_OUTDATED | where, after):
            self._renew()
            if holds({"words": list(product.current_words)}, {"words": words}):
                found.append(product)
            if len(found) == limit:
                break
        return found

    async def _despite_typos(
        self, where: dict[str, Any], terms: list[str], after: str, limit: int
    ) -> list[Product]:
        """The matches if each term that no article has stands for all words that are one error away.

        Used only if there is no hit.
        """
        known = [term for term in terms if await self._matching({}, ([term],), "", 1)]
        similar = [similar_words(term) for term in terms if term not in known]
        if not similar or not all(similar):
            return []
        words = (*([known] if known else []), *similar)
        return await self._matching(where, words, after, limit)

    async def _all(self, where: dict[str, Any], after: str = "") -> AsyncIterator[Product]:
        while page := await self._store.find(PRODUCTS.kind, where, after=after, limit=_PAGE):
            for loaded in page:
                yield read(loaded)
            after = page[-1].key

    def _renew(self) -> None:
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew_all(), name="renew search words")

    async def _renew_all(self) -> None:
        """Instances may do this at the same time: each article is written once, by the first of them."""
        renewed = 0
        try:
            async for product in self._all(_OUTDATED):
                await execute(self._runtime, PRODUCTS, product.sku, RenewWords())
                renewed += 1
        except StoreUnavailable as error:
            telemetry.log.warning(
                "search words are renewed with a later search", renewed=renewed, error=str(error)
            )
        else:
            telemetry.log.info("search words are renewed", renewed=renewed)


def read(loaded: Loaded) -> Product:
    product: Product = PRODUCTS.read(loaded)
    return product
