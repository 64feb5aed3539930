"""What we remember about an article, and the words by which it is found."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from contracts.values import NOTHING, Money

_LETTERS_MIN, _LETTERS_MAX = 2, 20  # of a prefix that can be searched for
_ENTRIES_MAX = 200
_TERMS_MAX = 10
_WORD = re.compile(r"[^\W_]+")


class Status(StrEnum):
    """`new`: never listed, although a command may have named it."""

    NEW = "new"
    LISTED = "listed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Product:
    """`revision` counts every change that was told to others. `words` is derived, and kept for the index."""

    status: Status = Status.NEW
    revision: int = 0
    sku: str = ""
    title: str = ""
    description: str = ""
    category: str = ""
    price: Money = NOTHING
    words: tuple[str, ...] = ()

    @property
    def withdrawn(self) -> bool:
        return self.status is Status.WITHDRAWN

    def revised(self, status: Status, price: Money | None = None) -> "Product":
        return replace(self, status=status, price=self.price if price is None else price, revision=self.revision + 1)


def search_words(*texts: str) -> tuple[str, ...]:
    """Every word of the texts with its beginnings, each once: "tea" gives te, tea. Bounded, whatever the texts."""
    beginnings: dict[str, None] = {}
    for word in _words(" ".join(texts)):
        for length in range(_LETTERS_MIN, len(word) + 1):
            beginnings[word[:length]] = None
    return tuple(beginnings)[:_ENTRIES_MAX]


def search_terms(query: str) -> list[str]:
    """What a product's words must all contain to be found by this query; single letters find nothing, so they go."""
    return list(dict.fromkeys(word for word in _words(query) if len(word) >= _LETTERS_MIN))[:_TERMS_MAX]


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).casefold()):
        yield match.group()[:_LETTERS_MAX]
