"""A basket: what somebody means to order. It belongs to a user, or to a browser that nobody has logged in with."""

from dataclasses import dataclass, replace

from chassis.decision import Decision
from contracts.values import LINES_MAX, QUANTITY_MAX


@dataclass(frozen=True, slots=True)
class Item:
    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Basket:
    """`revision` counts its changes: a form or an If-Match says which one somebody had before their eyes."""

    revision: int = 0
    items: tuple[Item, ...] = ()

    @property
    def pieces(self) -> int:
        return sum(item.quantity for item in self.items)


@dataclass(frozen=True, slots=True)
class Put:
    """So many of an article, not more; none takes it out. `seen`: the revision that this changes, if it matters."""

    sku: str
    quantity: int
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """Exactly this, as the form of the whole basket has it; none of an article takes it out."""

    items: tuple[Item, ...]
    seen: int


@dataclass(frozen=True, slots=True)
class Add:
    """So many more of an article: a click on "add"."""

    item: Item


@dataclass(frozen=True, slots=True)
class Merge:
    """A guest's basket, when they log in. Nobody is there to be told of too much, so it is cut to what fits."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Clear:
    """It was ordered. Only what was seen then goes."""

    seen: int


class Changed(Exception):
    """The basket is not any more what somebody had before their eyes."""


class Full(Exception):
    """More kinds, or more of a kind, than an order may have."""


Asked = Put | Fill | Add | Merge | Clear


def decide(basket: Basket, asked: Asked) -> Decision[Basket]:
    match asked:
        case Put(seen=int() as seen) | Fill(seen=seen) if seen != basket.revision:
            raise Changed
        case Put(sku, quantity):
            return Decision(_changed(basket, _quantities(basket.items) | {sku: quantity}))
        case Fill(items):
            return Decision(_changed(basket, _quantities(items)))
        case Add(Item(sku, quantity)):
            held = _quantities(basket.items)
            return Decision(_changed(basket, held | {sku: held.get(sku, 0) + quantity}))
        case Merge(items):
            return Decision(_changed(basket, _cut(_added(basket.items, items))))
        case Clear(seen) if seen == basket.revision:
            return Decision(_changed(basket, {}))
        case Clear():
            return Decision(basket)


def _quantities(items: tuple[Item, ...]) -> dict[str, int]:
    return {item.sku: item.quantity for item in items}


def _added(*baskets: tuple[Item, ...]) -> dict[str, int]:
    added: dict[str, int] = {}
    for item in (item for items in baskets for item in items):
        added[item.sku] = added.get(item.sku, 0) + item.quantity
    return added


def _cut(held: dict[str, int]) -> dict[str, int]:
    """What was in the basket first stays."""
    return {sku: min(held[sku], QUANTITY_MAX) for sku in list(held)[:LINES_MAX]}


def _changed(basket: Basket, held: dict[str, int]) -> Basket:
    """The revision counts changes only, so that pressing "update" without one disturbs no other tab."""
    items = tuple(Item(sku, quantity) for sku, quantity in held.items() if quantity > 0)
    if len(items) > LINES_MAX or any(item.quantity > QUANTITY_MAX for item in items):
        raise Full
    return basket if items == basket.items else replace(basket, revision=basket.revision + 1, items=items)
