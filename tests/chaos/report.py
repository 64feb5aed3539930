"""The final table: each fault, how often it was injected, and its effect on the orders placed during it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.chaos.invariants import CheckResult, longest_gap

UNSTRUCK = "(nothing struck)"


@dataclass(frozen=True)
class InjectedFault:
    """One fault, from its start until the affected server was healthy again."""

    name: str
    began: datetime
    healed: datetime

    def covers(self, moment: datetime) -> bool:
        return self.began <= moment <= self.healed


@dataclass(frozen=True)
class Row:
    fault: str
    times: int
    orders: int
    lost: int
    doubled: int
    gap: timedelta


@dataclass
class Outcome:
    """One phase: a system in an environment, under load and faults."""

    title: str
    placed: dict[UUID, datetime]
    struck: list[InjectedFault]
    check_result: CheckResult
    unsent: int

    @property
    def seconds(self) -> float:
        """Duration of the faults."""
        if not self.struck:
            return 0.0
        return (
            max(each.healed for each in self.struck) - min(each.began for each in self.struck)
        ).total_seconds()

    @property
    def rows(self) -> list[Row]:
        """An order that was placed during two faults counts for both."""
        names = sorted({each.name for each in self.struck})
        rows = [self._row(name, [each for each in self.struck if each.name == name]) for name in names]
        quiet = [i for i, at in self.placed.items() if not any(each.covers(at) for each in self.struck)]
        return [*rows, Row(UNSTRUCK, 0, len(quiet), *self._wrong(quiet), timedelta())]

    def _row(self, name: str, strikes: list[InjectedFault]) -> Row:
        orders = [i for i, at in self.placed.items() if any(each.covers(at) for each in strikes)]
        gap = max(longest_gap(self.check_result.endings, each.began, each.healed) for each in strikes)
        return Row(name, len(strikes), len(orders), *self._wrong(orders), gap)

    def _wrong(self, orders: Iterable[UUID]) -> tuple[int, int]:
        chosen = set(orders)
        return len(chosen & self.check_result.lost.keys()), len(chosen & self.check_result.doubled.keys())


def show(outcome: Outcome, console: Console) -> None:
    """Print a phase as soon as it has ended, because the next one may fail before its end."""
    console.print(_table(outcome))
    for problem in outcome.check_result.problems:
        console.print(problem, style="red")


def show_total(outcomes: list[Outcome], seed: int, console: Console) -> None:
    orders = sum(len(outcome.placed) for outcome in outcomes)
    faults = sum(len(outcome.struck) for outcome in outcomes)
    wrong = (
        sum(len(outcome.check_result.lost) for outcome in outcomes),
        sum(len(o.check_result.doubled) for o in outcomes),
    )
    copies = sum(outcome.check_result.second_copies for outcome in outcomes)
    unsent = sum(outcome.unsent for outcome in outcomes)
    console.print(
        f"{orders} orders, {faults} faults: {wrong[0]} lost, {wrong[1]} doubled;"
        f" {copies} second copies of mails (same Message-ID), {unsent} orders never sent. CHAOS_SEED={seed}"
    )


def _table(outcome: Outcome) -> Table:
    caption = "orders: placed during the fault; gap: the longest time without any order reaching its outcome"
    table = Table(title=outcome.title, caption=caption, box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("fault")
    for heading in ("times", "orders", "lost", "doubled", "gap"):
        table.add_column(heading, justify="right", min_width=max(6, len(heading)))
    for row in outcome.rows:
        gap = f"{row.gap.total_seconds():.1f} s" if row.times else ""
        table.add_row(
            row.fault, str(row.times or ""), str(row.orders), _count(row.lost), _count(row.doubled), gap
        )
    return table


def _count(wrong: int) -> str:
    return f"[bold red]{wrong}" if wrong else "0"
