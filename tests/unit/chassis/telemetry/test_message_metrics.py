"""The metrics of messages: what the observer of the message path counts and measures."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from chassis.bus.memory import MemoryStore
from chassis.bus.protocol import Unroutable
from chassis.core import effects
from chassis.core.decision import OutOfTurn
from chassis.core.definition import CircuitOpen, EffectUnavailable, TooOld
from chassis.core.effects import EffectRunner
from chassis.core.failure_reasons import reason_of
from chassis.core.observer import MessageObserver
from chassis.core.retry import PoisonMessage
from chassis.messaging.envelope import OPERATOR, Forged, Malformed
from chassis.store.cached import CachedStore
from chassis.store.protocol import Change, Loaded, StoreRefused, StoreUnavailable, WriteConflicts
from chassis.telemetry.exposition import Exposition
from tests.support.metric_changes import MetricChanges, gauge
from tests.support.pending_deliveries import CANCEL, SERVICE, TRACE, pending
from tests.support.pending_message_factory import NOW


@pytest.fixture
def metrics() -> MetricChanges:
    return MetricChanges()


def observer(handled_after: timedelta = timedelta(0)) -> MessageObserver:
    return MessageObserver(SERVICE, clock=lambda: NOW + handled_after)


def test_a_handled_message_is_measured_in_its_three_parts(metrics: MetricChanges) -> None:
    message, labels = pending(sent_before=timedelta(seconds=2)), {"service": "order_svc", "type": CANCEL.TYPE}
    observed = observer(handled_after=timedelta(seconds=3))
    observed.received(message)
    observed.handled(message, [])
    assert metrics.of("journey_message_queue_seconds_sum", **labels) == 2
    assert metrics.of("messaging_process_duration_seconds_sum", **labels) == 3
    assert metrics.of("journey_message_end_to_end_seconds_sum", **labels) == 5
    assert metrics.of("journey_messages_handled_total", **labels) == 1
    assert metrics.of("journey_message_attempts_total", **labels) == 1


@pytest.mark.parametrize("sent_before", [timedelta(days=9_000), -timedelta(days=9_000)])
def test_an_implausible_time_of_a_sender_is_not_measured(
    metrics: MetricChanges, sent_before: timedelta
) -> None:
    message = pending(sent_before=sent_before)
    observer().received(message)
    observer().handled(message, [])
    assert metrics["journey_message_queue_seconds_count"] == 0
    assert metrics["journey_message_end_to_end_seconds_count"] == 0
    assert metrics["messaging_process_duration_seconds_count"] == 1


def test_a_sender_clock_ahead_counts_as_zero_queue_time(metrics: MetricChanges) -> None:
    observer().received(pending(sent_before=-timedelta(seconds=30)))
    assert metrics["journey_message_queue_seconds_count"] == 1
    assert metrics["journey_message_queue_seconds_sum"] == 0


def test_a_retried_message_has_only_an_end_to_end_time(metrics: MetricChanges) -> None:
    message = pending(sent_before=timedelta(seconds=65), user="order_svc", attempt=2)
    observer().received(message)
    observer().handled(message, [])
    assert metrics["journey_message_queue_seconds_count"] == 0
    assert metrics["journey_message_attempts_total"] == 1
    assert metrics["journey_message_end_to_end_seconds_sum"] == 65


def test_a_redriven_message_has_no_end_to_end_time(metrics: MetricChanges) -> None:
    """A person decided when to redrive it, so the time says nothing about the shop."""
    message = pending(sent_before=timedelta(days=3), user=OPERATOR, origin_user="client")
    observer().received(message)
    observer().handled(message, [])
    assert metrics["journey_message_end_to_end_seconds_count"] == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Malformed("x"), "malformed"),
        (Forged("x"), "forged"),
        (PoisonMessage("x"), "poison"),
        (TooOld("x"), "too_old"),
        (OutOfTurn("state", "message"), "out_of_turn"),
        (Unroutable("x"), "unroutable"),
        (StoreRefused("x"), "refused_by_store"),
        (KeyError("x"), "bug"),
    ],
)
def test_each_failure_has_its_reason(metrics: MetricChanges, error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
    delivery = pending(sent_before=timedelta(0)).delivery
    observer().handed_over(delivery, replace(delivery.wire_message, exchange="dead"), error)
    assert metrics.of("journey_dead_letters_total", reason=reason, type=CANCEL.TYPE) == 1
    assert metrics["journey_retries_total"] == 0


def test_a_retry_is_counted_by_its_retry_queue(metrics: MetricChanges) -> None:
    delivery = pending(sent_before=timedelta(0)).delivery
    observer().handed_over(delivery, replace(delivery.wire_message, exchange="retry.1m"), KeyError("x"))
    assert metrics.of("journey_retries_total", rung="retry.1m", type=CANCEL.TYPE) == 1
    assert metrics["journey_dead_letters_total"] == 0


class Authorize:
    """An effect."""


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ended"),
        (EffectUnavailable("x"), "unavailable"),
        (CircuitOpen("x"), "circuit_open"),
        (KeyError("x"), "bug"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
async def test_an_effect_is_measured_by_its_outcome(
    metrics: MetricChanges, monkeypatch: pytest.MonkeyPatch, error: BaseException | None, outcome: str
) -> None:
    times = iter((10.0, 12.5))
    monkeypatch.setattr(effects, "time", SimpleNamespace(perf_counter=lambda: next(times)))

    async def handle(effect: Authorize, first_asked: datetime) -> None:
        if error is not None:
            raise error

    with contextlib.suppress(EffectUnavailable, KeyError, asyncio.CancelledError):
        await EffectRunner(SERVICE, handle).run(pending(), Authorize())
    labels = {"service": "order_svc", "effect": "Authorize"}
    assert metrics.of("journey_effect_duration_seconds_sum", **labels, outcome=outcome) == 2.5
    assert metrics.of("journey_effect_duration_seconds_count", **labels) == 1


async def test_lookups_of_the_cache_are_counted_by_result(metrics: MetricChanges) -> None:
    store = MemoryStore()
    cached = CachedStore(store, {"payments"}, "payment_svc")
    await cached.load("payments", ["1", "2"])
    await cached.load("payments", ["1"])
    await cached.load("payments", ["3"], probably_new=["3"])
    store.away = True
    with pytest.raises(StoreUnavailable):
        await cached.save([Change(Loaded("payments", "1"), {})])
    store.away = False
    await cached.load("payments", ["1", "2", "4"])
    counts = {
        result: metrics.of("journey_cache_lookups_total", kind="payments", result=result)
        for result in ("hit", "miss", "new", "bypassed")
    }
    assert counts == {"hit": 1, "miss": 2, "new": 1, "bypassed": 3}


def test_the_size_of_a_batch_is_observed(metrics: MetricChanges) -> None:
    observer().processed([pending(), pending()])
    assert metrics.of("journey_group_size_sum", service="order_svc") == 2
    assert metrics.of("journey_group_size_count", service="order_svc") == 1


def test_an_outage_of_the_store_is_a_gauge() -> None:
    observed = observer()
    observed.not_written(StoreUnavailable("x"))
    assert gauge("journey_store_unavailable", service="order_svc") == 1
    observed.written_again()
    assert gauge("journey_store_unavailable", service="order_svc") == 0
    observed.not_written(WriteConflicts("x"))
    assert gauge("journey_store_unavailable", service="order_svc") == 0, "the database responds"


def test_a_sampled_message_leaves_exemplars(metrics: MetricChanges) -> None:
    message = pending(sent_before=timedelta(seconds=7), traceparent=TRACE)
    observer().received(message)
    open_metrics, media_type = Exposition().expose("application/openmetrics-text;version=1.0.0,text/plain")
    assert media_type.startswith("application/openmetrics-text")
    assert f'# {{trace_id="{TRACE[3:35]}"}} 7.0' in open_metrics.decode()
    text, media_type = Exposition().expose("text/plain")
    assert media_type.startswith("text/plain") and TRACE[3:35] not in text.decode()


def test_a_message_that_is_not_sampled_leaves_none(metrics: MetricChanges) -> None:
    unsampled = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    observer().received(pending(sent_before=timedelta(seconds=7), traceparent=unsampled))
    open_metrics, _ = Exposition().expose("application/openmetrics-text")
    assert unsampled[3:35] not in open_metrics.decode()


def test_the_prefix_of_own_metrics_is_a_setting() -> None:
    text = Exposition(prefix="shop").expose()[0].decode()
    assert "shop_messages_handled_total{" in text and "# TYPE shop_group_size histogram" in text
    named = {line.removeprefix("# HELP ").removeprefix("# TYPE ").split("{")[0] for line in text.splitlines()}
    assert not [name for name in named if name.startswith("journey_")]  # labels hold routes such as /journeys
    assert "messaging_process_duration_seconds_bucket{" in text, "names of the conventions stay"


def test_an_unreadable_accept_header_gets_the_text_format() -> None:
    for accept in ("", "\x00", "application/json", "text/plain;version=9.9.x"):
        assert Exposition().expose(accept)[1].startswith("text/plain")
    assert "evil" not in Exposition().expose("application/openmetrics-text;version=1.0.0evil")[1]
