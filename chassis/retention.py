"""Applies the retention rules to documents of earlier versions, which have no `kept_until`.

Each service compares all documents of a kind with the rule at its first start with that rule, and once a
week. It reads one page at a time, pauses between pages, and stores its progress after each page, so that a
restart continues there. Any number of instances may run it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chassis import telemetry
from chassis.clock import Clock
from chassis.core.definition import CLOCK_MARGIN, Aggregate, ServiceDefinition
from chassis.store.protocol import Change, Dated, Json, Store, StoreRefused, StoreUnavailable
from chassis.telemetry import metrics

KIND = "retention"  # the collection that holds the progress of each kind
PAGE = 500
PAUSE_S = 0.05
AGAIN_AFTER = timedelta(days=7)
FIRST_AFTER_S = 5.0
LOOKS_EVERY_S = 600.0
# A document without an expiry time stays at least this long, so that a wrong setting can be corrected in
# time.
NOTICE = timedelta(days=7)
_REPORTED_EVERY_PAGES = 20


@dataclass(frozen=True)
class Progress:
    """The progress of comparing the documents of one kind with the rule.

    `began_at`: the earliest known change of a document. None: nothing was compared yet.
    """

    rule: Json
    began_at: datetime | None = None
    after: str = ""
    examined: int = 0
    dated: int = 0
    done_at: datetime | None = None

    @classmethod
    def of(cls, aggregate: Aggregate[Any], state: Json | None) -> "Progress":
        """The stored progress; only its `began_at` if the rule has changed since."""
        rule = _rule(aggregate)
        stored = state or {}
        began_at = _time(stored.get("began_at"))
        if stored.get("rule") != rule:
            return cls(rule, began_at)
        return cls(
            rule,
            began_at,
            after=stored["after"],
            examined=stored["examined"],
            dated=stored["dated"],
            done_at=_time(stored["done_at"]),
        )

    def state(self) -> Json:
        times = {"began_at": _text(self.began_at), "done_at": _text(self.done_at)}
        counts = {"after": self.after, "examined": self.examined, "dated": self.dated}
        return {"rule": self.rule, **counts, **times}

    def further(self, page: Sequence[Dated], dated: int, now: datetime) -> "Progress":
        times = [each.changed_at for each in page if each.changed_at]
        return Progress(
            self.rule,
            began_at=min([self.began_at or now, *times]),
            after=page[-1].key if page else self.after,
            examined=self.examined + len(page),
            dated=self.dated + dated,
            done_at=None if len(page) == PAGE else now,
        )


async def keep_in_accord(
    service: ServiceDefinition, store: Store, clock: Clock, first_after_s: float
) -> None:
    """Run for as long as the service runs."""
    await asyncio.sleep(first_after_s)  # messages that wait in the queues come first
    kept = [aggregate for aggregate in service.aggregates if aggregate.ttl is not None]
    while kept:
        for aggregate in kept:
            try:
                await bring_in_accord(service.name, aggregate, store, clock=clock)
            except (
                StoreUnavailable,
                StoreRefused,
            ) as error:  # e.g. a full disk
                telemetry.log.warning("waiting", for_=f"the documents of {aggregate.kind}", error=repr(error))
                break
        await asyncio.sleep(LOOKS_EVERY_S)


async def bring_in_accord(service: str, aggregate: Aggregate[Any], store: Store, *, clock: Clock) -> None:
    """Compare the documents of one kind with the rule, unless that was done within a week."""
    pages = 0
    while True:
        [stored] = (await store.load(KIND, [aggregate.kind])).values()
        progress = Progress.of(aggregate, stored.state)
        now = clock()
        if progress.done_at is not None:
            if now - progress.done_at < AGAIN_AFTER:
                return
            progress = Progress(progress.rule, progress.began_at)
        page = await store.dated(aggregate.kind, after=progress.after, limit=PAGE)
        wanted = {
            each.key: (each.version, until) for each in page for until in _corrections(aggregate, each, now)
        }
        progress = progress.further(page, await store.keep(aggregate.kind, wanted) if wanted else 0, now)
        # else another instance was faster, and both continue
        if await store.save([Change(stored, progress.state())]):
            metrics.RETENTION.labels(service, aggregate.kind, "examined").inc(len(page))
            metrics.RETENTION.labels(service, aggregate.kind, "dated").inc(len(wanted))
        pages += 1
        if progress.done_at is not None or pages % _REPORTED_EVERY_PAGES == 0:
            telemetry.log.info(
                f"retention: {'finished' if progress.done_at else 'under way'}",
                service=service,
                kind=aggregate.kind,
                examined=progress.examined,
                dated=progress.dated,
            )
        await asyncio.sleep(PAUSE_S)


def _corrections(aggregate: Aggregate[Any], each: Dated, now: datetime) -> list[datetime | None]:
    """The correct expiry time if it differs from the stored one, as a list of at most one.

    Never earlier than the stored one.
    """
    if each.unpublished:  # publishing its messages also sets its expiry
        return []
    try:
        state = aggregate.codec.load(each.state)
    except ValueError:  # this version cannot read the state, so it leaves the document alone
        return []
    until = None if each.deadline_at else aggregate.kept_until(state, min(each.changed_at or now, now))
    if until is None:
        return [None] if each.kept_until else []
    if each.kept_until is None:
        return [max(until, now + NOTICE)]
    return [until] if until - each.kept_until > CLOCK_MARGIN else []


def _rule(aggregate: Aggregate[Any]) -> Json:
    assert aggregate.ttl is not None
    ended = None if aggregate.ended_statuses is None else sorted(map(str, aggregate.ended_statuses))
    return {"kept_for_days": aggregate.ttl / timedelta(days=1), "ended_statuses": ended}


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
