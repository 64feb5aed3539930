"""The state of the stock: a shelf per article, and its changes: reservations, receipts, corrections."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from contracts.http.inventory import CorrectionStatus, ReservationStatus
from contracts.inventory import CorrectionReason
from contracts.values import OrderLine, ReturnedLine, ReturnTo


@dataclass(frozen=True, slots=True)
class Shelf:
    """The stock of one article. available + reserved + sold = received, and none is below 0.

    A correction changes `received` and `available`; a write-off of returned goods `received` and `sold`.
    """

    sku: str
    received: int = 0
    available: int = 0
    reserved: int = 0
    sold: int = 0

    def move(self, *, received: int = 0, available: int = 0, reserved: int = 0, sold: int = 0) -> "Shelf":
        moved = Shelf(
            self.sku,
            self.received + received,
            self.available + available,
            self.reserved + reserved,
            self.sold + sold,
        )
        counts = (moved.available, moved.reserved, moved.sold)
        if min(counts) < 0 or sum(counts) != moved.received:
            raise ArithmeticError(f"{self} cannot become {moved}")
        return moved


@dataclass(frozen=True, slots=True)
class BookedReturn:
    """The goods of a refund that came back."""

    refund_id: UUID
    returned: tuple[ReturnedLine, ...]


@dataclass(frozen=True, slots=True)
class Reservation:
    """The goods held or sold for one order. `returns`: which of them came back after the dispatch."""

    status: ReservationStatus = ReservationStatus.NEW
    lines: tuple[OrderLine, ...] = ()
    returns: tuple[BookedReturn, ...] = ()

    def moved(self, shelves: Mapping[str, Shelf], **by_piece: int) -> dict[str, Shelf]:
        """The shelves after moving every line: `reserved=-1, sold=1` sells what was held."""
        return move_lines(self.lines, shelves, **by_piece)

    def has_booked(self, refund_id: UUID) -> bool:
        return any(booked.refund_id == refund_id for booked in self.returns)

    def to(self, status: ReservationStatus) -> "Reservation":
        return replace(self, status=status)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A counted delivery of goods."""

    counted: bool = False


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction of the stock by staff. `available`: the pieces that were left after it."""

    status: CorrectionStatus = CorrectionStatus.NEW
    sku: str = ""
    change: int = 0
    reason: CorrectionReason = CorrectionReason.COUNT
    available: int = 0


def move_lines(lines: Iterable[OrderLine], shelves: Mapping[str, Shelf], **by_piece: int) -> dict[str, Shelf]:
    return {
        line.sku: shelves[line.sku].move(**{field: sign * line.quantity for field, sign in by_piece.items()})
        for line in lines
    }


def take_back(lines: Iterable[ReturnedLine], shelves: Mapping[str, Shelf]) -> dict[str, Shelf]:
    """The shelves of returned goods. An article may be in two lines, one for each destination."""
    moved: dict[str, Shelf] = {}
    for line in lines:
        shelf, pieces = moved.get(line.sku, shelves[line.sku]), line.quantity
        to_stock = line.to is ReturnTo.STOCK
        moved[line.sku] = (
            shelf.move(sold=-pieces, available=pieces)
            if to_stock
            else shelf.move(sold=-pieces, received=-pieces)
        )
    return moved
