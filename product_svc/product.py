"""What we remember about an article."""

from dataclasses import dataclass, replace
from enum import StrEnum

from contracts.values import NOTHING, Money


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
