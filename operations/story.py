"""An order's messages as one story: who said what when, because of what, and what it did to whom.

Pure. Made from the steps that the services keep; the oldest first, long silences folded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush

from contracts.message import REGISTRY
from journey.awaited import Awaited, span
from journey.dead_letters import DeadLetter
from journey.trail import Step, Trail

PAGE = 100
GAP_MIN = timedelta(seconds=10)


@dataclass
class Saying:
    """A message. `number`: its place in the story, from 1. `by` is empty for what came from outside.

    Of what came from outside, the services keep no copy: `body` is None then.
    """

    id: str
    type: str
    at: datetime
    by: str
    body: str | None
    because: str = ""
    number: int = 0
    heard: list[Step] = field(default_factory=list)
    awaited_by: list[Awaited] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)

    @property
    def meaning(self) -> str:
        contract = REGISTRY.get(self.type)
        return ((contract.__doc__ if contract else "") or "").partition("\n")[0]

    def took(self, step: Step) -> str:
        """From being said to being handled."""
        seconds = (step.at - self.at).total_seconds()
        return f"{seconds * 1000:.0f} ms" if seconds < 1 else span(step.at - self.at)


@dataclass(frozen=True)
class Line:
    """A message where it stands in the story: `pause` before it, in words, if it was long."""

    saying: Saying
    pause: str


@dataclass(frozen=True)
class Page:
    """`before` and `after`: the numbers from which the neighbouring pages begin; None where there is none."""

    lines: tuple[Line, ...]
    total: int
    before: int | None
    after: int | None


def told(trail: Trail, awaited: Iterable[Awaited] = (), letters: Iterable[DeadLetter] = ()) -> list[Saying]:
    """Every message of a journey, the oldest first."""
    sayings: dict[str, Saying] = {}
    for step in trail.steps:
        for said in step.says:
            at = datetime.fromisoformat(str(said["time"]))
            sayings[said["id"]] = Saying(said["id"], said["type"], at, step.service, _body(said), step.message_id)
    for step in trail.steps:
        saying = sayings.get(step.message_id)
        if saying is None:
            saying = sayings[step.message_id] = Saying(step.message_id, step.type, step.at, "", None)
        saying.heard.append(step)
    for each in awaited:
        if each.word.id in sayings:
            sayings[each.word.id].awaited_by.append(each)
    for letter in letters:
        sayings.setdefault(letter.id, _from_its_letter(letter)).dead.append(letter)
    ordered = _in_order(sayings)
    for number, saying in enumerate(ordered, start=1):
        saying.number = number
    return ordered


def _in_order(sayings: Mapping[str, Saying]) -> list[Saying]:
    """By time, but no message before the one that it came of: clocks differ, and a moment may hold both."""
    effects: dict[str, list[Saying]] = {}
    for saying in sayings.values():
        effects.setdefault(saying.because if saying.because in sayings else "", []).append(saying)
    ready = [(saying.at, saying.id) for saying in effects.get("", ())]
    heapify(ready)
    ordered = []
    while ready:
        _, id_ = heappop(ready)
        ordered.append(sayings[id_])
        for effect in effects.get(id_, ()):
            heappush(ready, (effect.at, effect.id))
    return ordered


def _from_its_letter(letter: DeadLetter) -> Saying:
    """A message that no service has handled: nothing is known of it but what its dead letter tells."""
    at = letter.said_at or letter.died_at or datetime.max.replace(tzinfo=UTC)
    return Saying(letter.id, letter.type, at, "", letter.parcel.body.decode(errors="replace"))


def page_of(sayings: list[Saying], begin: int = 1, message_id: str = "") -> Page:
    """The page that begins with a number, or the one that holds a message."""
    if found := next((saying for saying in sayings if saying.id == message_id), None):
        begin = (found.number - 1) // PAGE * PAGE + 1
    begin = max(1, min(begin, max(1, len(sayings))))
    shown = sayings[begin - 1 : begin - 1 + PAGE]
    earlier = [sayings[begin - 2] if begin > 1 else None, *shown]
    lines = tuple(Line(saying, _pause(before, saying)) for before, saying in zip(earlier, shown, strict=False))
    after = begin + PAGE
    return Page(
        lines, len(sayings), max(1, begin - PAGE) if begin > 1 else None, after if after <= len(sayings) else None
    )


def _pause(before: Saying | None, saying: Saying) -> str:
    if before is None or saying.at - before.at <= GAP_MIN:
        return ""
    return f"{span(saying.at - before.at)} later"


def _body(said: Mapping[str, object]) -> str:
    return str(said["body"])
