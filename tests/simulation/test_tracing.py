"""Days of the simulation with every trace sampled: nothing changes, and no replay adds a span."""

from collections import Counter
from collections.abc import Iterator

import pytest

from chassis import telemetry
from chassis.telemetry import tracing
from chassis.telemetry.tracing import Span
from tests.simulation.faults import Seeded
from tests.simulation.invariants import _UNREMEMBERED
from tests.simulation.run import play_day

SEEDS, STEPS = range(6), 8


@pytest.fixture
def recorded() -> Iterator[list[Span]]:
    """The spans of everything that runs in this process; every trace is sampled."""
    telemetry.configure("critical", pretty=False)
    spans: list[Span] = []
    tracing.STATE.ratio, tracing.STATE.record = 1.0, spans.append
    yield spans
    tracing.STATE.ratio, tracing.STATE.record = 0.0, None


@pytest.mark.parametrize("seed", SEEDS)
def test_tracing_does_not_change_a_day(seed: int, recorded: list[Span]) -> None:
    traced = play_day(seed, STEPS, Seeded(seed), with_trace=True)
    assert not traced.broken and recorded
    tracing.STATE.ratio, tracing.STATE.record = 0.0, None
    assert play_day(seed, STEPS, Seeded(seed), with_trace=True).fingerprint == traced.fingerprint


@pytest.mark.parametrize("seed", SEEDS)
def test_replays_add_no_span(seed: int, recorded: list[Span]) -> None:
    play_day(seed, STEPS, Seeded(seed))
    rejections = tuple(f"create {type_}" for type_ in _UNREMEMBERED)
    created = Counter(
        (span.trace_id, span.span_id, span.name)
        for span in recorded
        if span.kind == "producer" and span.name not in rejections
    )
    assert created
    assert [each for each, count in created.items() if count > 1] == []
