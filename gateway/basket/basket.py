"""The basket of a user or of a guest, with its rules."""

from dataclasses import dataclass, replace

from chassis.core.decision import Context, Decision
from chassis.messaging.identity import derived_id
from contracts.values import LINES_MAX, QUANTITY_MAX

# An interrupted merge is repeated at the next login of the same browser. Up to so many other merges may come
# between.
MERGES_MAX = 50


@dataclass(frozen=True, slots=True)
class BasketItem:
    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Basket:
    """`revision` counts the changes.

    A form or an If-Match header states the revision that the client has seen.

    A guest's basket is handed over in three idempotent writes. `handed`: the items on their way to the basket
    `handed_to`, `handed_id`: the id of that merge. `merged`: the ids of the newest merges into this basket.
    """

    revision: int = 0
    items: tuple[BasketItem, ...] = ()
    handed: tuple[BasketItem, ...] = ()
    handed_to: str = ""
    handed_id: str = ""
    merged: tuple[str, ...] = ()

    @property
    def pieces(self) -> int:
        return sum(item.quantity for item in self.items)


@dataclass(frozen=True, slots=True)
class SetQuantity:
    """Sets the quantity of an article; 0 removes it.

    Fails if the basket has another revision than the expected one.
    """

    sku: str
    quantity: int
    expected_revision: int | None = None


@dataclass(frozen=True, slots=True)
class ReplaceItems:
    """Replaces all items by those of the submitted form. A quantity of 0 removes the article."""

    items: tuple[BasketItem, ...]
    expected_revision: int


@dataclass(frozen=True, slots=True)
class AddItem:
    """Adds to the quantity of an article."""

    item: BasketItem


@dataclass(frozen=True, slots=True)
class HandOver:
    """Moves all items of a guest's basket to `handed`, for the basket `to`.

    The id of the merge that follows derives from `id` and the basket's revision. So items that the guest adds
    later, while an earlier request still retries the handover, are a separate merge.
    """

    to: str
    id: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The merge has been written: clears `handed`."""

    id: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Adds the items of a guest's basket at login, cut to the limits of an order,
    because there is no form for errors.

    `id`: of the merge; a repeated merge has the same id.
    """

    items: tuple[BasketItem, ...]
    id: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Empties the basket after an order, unless it has changed since the revision that was ordered."""

    expected_revision: int


class BasketChanged(Exception):
    """The basket has another revision than the expected one."""


class BasketFull(Exception):
    """More articles, or more pieces of an article, than an order may have."""


BasketCommand = SetQuantity | ReplaceItems | AddItem | HandOver | HandedOver | Merge | Clear


def decide(basket: Basket, command: BasketCommand, _: Context[object]) -> Decision[Basket]:
    match command:
        case SetQuantity(expected_revision=int() as expected) | ReplaceItems(expected_revision=expected) if (
            expected != basket.revision
        ):
            raise BasketChanged
        case SetQuantity(sku, quantity):
            return Decision(_changed(basket, _quantities(basket.items) | {sku: quantity}))
        case ReplaceItems(items):
            return Decision(_changed(basket, _quantities(items)))
        case AddItem(BasketItem(sku, quantity)):
            held = _quantities(basket.items)
            return Decision(_changed(basket, held | {sku: held.get(sku, 0) + quantity}))
        case HandOver() | HandedOver() | Merge():
            return Decision(_moved(basket, command))
        case Clear(expected_revision) if expected_revision == basket.revision:
            return Decision(_changed(basket, {}))
        case Clear():
            return Decision(basket)


def _moved(basket: Basket, command: HandOver | HandedOver | Merge) -> Basket:
    """The three steps of a handover. Each detects whether it was done before."""
    match command:
        case HandOver(to, id_) if basket.items and not basket.handed:  # an earlier handover must finish first
            emptied = replace(basket, revision=basket.revision + 1, items=())
            handed_id = derived_id(id_, basket.revision)
            return replace(emptied, handed=basket.items, handed_to=to, handed_id=handed_id)
        case HandedOver(id_) if id_ == basket.handed_id:
            return replace(basket, handed=(), handed_to="", handed_id="")
        case Merge(items, id_) if id_ not in basket.merged:
            merged = _changed(basket, _cut(_added(basket.items, items)))
            return replace(merged, merged=(*basket.merged, id_)[-MERGES_MAX:])
        case _:
            return basket


def _quantities(items: tuple[BasketItem, ...]) -> dict[str, int]:
    return {item.sku: item.quantity for item in items}


def _added(*baskets: tuple[BasketItem, ...]) -> dict[str, int]:
    added: dict[str, int] = {}
    for item in (item for items in baskets for item in items):
        added[item.sku] = added.get(item.sku, 0) + item.quantity
    return added


def _cut(held: dict[str, int]) -> dict[str, int]:
    """Keeps the articles that were added first, within the limits of an order."""
    return {sku: min(held[sku], QUANTITY_MAX) for sku in list(held)[:LINES_MAX]}


def _changed(basket: Basket, held: dict[str, int]) -> Basket:
    """Increments the revision only if items change,
    so that "update" without a change does not affect other tabs.
    """
    items = tuple(BasketItem(sku, quantity) for sku, quantity in held.items() if quantity > 0)
    if len(items) > LINES_MAX or any(item.quantity > QUANTITY_MAX for item in items):
        raise BasketFull
    return basket if items == basket.items else replace(basket, revision=basket.revision + 1, items=items)
