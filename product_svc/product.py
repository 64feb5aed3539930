"""The state of an article."""

from dataclasses import dataclass, replace
from enum import StrEnum

from contracts.values import NOTHING, Money
from product_svc.search import WORDS_VERSION, search_words


class ProductStatus(StrEnum):
    """`new`: never listed, although a command may have named it."""

    NEW = "new"
    LISTED = "listed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Product:
    """An article. `revision` counts every published change.

    `words` is derived and stored for the index. `words_version`: the version of the rules; None for those of
    an earlier version.
    """

    status: ProductStatus = ProductStatus.NEW
    revision: int = 0
    sku: str = ""
    title: str = ""
    description: str = ""
    category: str = ""
    price: Money = NOTHING
    words: tuple[str, ...] = ()
    words_version: int | None = None

    @property
    def withdrawn(self) -> bool:
        return self.status is ProductStatus.WITHDRAWN

    @property
    def current_words(self) -> tuple[str, ...]:
        """The words by the rules of this version, whatever is stored."""
        if self.words_version == WORDS_VERSION:
            return self.words
        return search_words(self.sku, self.title, self.category)

    def with_current_words(self) -> "Product":
        words = search_words(self.sku, self.title, self.category)
        return replace(self, words=words, words_version=WORDS_VERSION)

    def revised(self, status: ProductStatus, price: Money | None = None) -> "Product":
        return replace(
            self, status=status, price=self.price if price is None else price, revision=self.revision + 1
        )


@dataclass(frozen=True, slots=True)
class RenewWords:
    """Derive the search words by the rules of this version. Nothing else changes, and no event is emitted."""
