"""Deliveries on their way out: stored, published, and only then acknowledged."""

from collections.abc import Callable, Mapping, Sequence

from chassis import telemetry
from chassis.backoff import Backoff
from chassis.bus.protocol import Bus, BusUnavailable, Delivery, MessageNotEncodable
from chassis.clock import Clock
from chassis.core import retry
from chassis.core.definition import EffectNotTried, EffectUnavailable, ServiceDefinition
from chassis.core.message_spans import BatchSpans
from chassis.core.observer import MessageObserver
from chassis.core.other_release import OtherRelease
from chassis.core.pending_message import PendingMessage
from chassis.core.process import MessageProcessor
from chassis.messaging.envelope import Envelope, WireMessage
from chassis.store.protocol import StoreUnavailable, WriteConflicts

Emitted = Sequence[tuple[PendingMessage, Sequence[Envelope]]]
_BACKOFF_S_MAX = 5.0


class Committer:
    """Sees to it that each message is stored and published before its delivery is acknowledged."""

    def __init__(
        self,
        service: ServiceDefinition,
        processor: MessageProcessor,
        bus: Bus,
        *,
        clock: Clock,
        observer: MessageObserver,
        settled: Callable[[], None],
    ) -> None:
        self._service = service
        self._observer = observer
        self._bus = bus
        self._clock = clock
        self._settled = settled
        self.processor = processor
        self.store_problem = ""  # why a batch is not written yet; empty if none waits

    async def process(self, batch: Sequence[PendingMessage], spans: BatchSpans) -> None:
        """Set the outcome of each message, however long the database is away or others write first."""
        backoff = Backoff(0.1, _BACKOFF_S_MAX)
        while True:
            try:
                await self.processor.process(batch, spans)
                break
            except StoreUnavailable as error:
                # The deliveries are neither acknowledged nor returned, so no redelivery is counted.
                if (problem := _problem(error)) != self.store_problem:
                    self.store_problem = problem
                    self._observer.not_written(error)
                await backoff.pause()
        if self.store_problem:
            self.store_problem = ""
            self._observer.written_again()
        self._observer.processed(batch)

    async def publish_and_ack(
        self, emitted: Emitted, spans: BatchSpans
    ) -> list[tuple[PendingMessage, Exception]]:
        """Returns the messages of which something could not be routed; these are not acknowledged."""
        # A message that comes twice in one batch is published once and acknowledged twice.
        catalog = self._service.catalog
        outgoing = {each.id: each for _, envelopes in emitted for each in envelopes}
        # A newer release may have stored messages that this one does not know, before it was rolled back.
        refused: dict[str, Exception] = {
            id_: OtherRelease(f"{each.type!r} was stored by another release of {self._service.name}")
            for id_, each in outgoing.items()
            if each.type not in catalog
        }
        wire_messages = {
            id_: each.wire_message(catalog) for id_, each in outgoing.items() if id_ not in refused
        }
        if wire_messages:
            with spans.publish(list(outgoing.values())):
                refused |= await self._publish(wire_messages)
        failed: list[tuple[PendingMessage, Exception]] = []
        for pending, envelopes in emitted:
            error = next((refused[envelope.id] for envelope in envelopes if envelope.id in refused), None)
            if error is not None:
                failed.append((pending, error))
                continue
            await pending.delivery.ack()
            self._settled()
            self._observer.handled(pending, envelopes)
        return failed

    async def fail(self, pending: PendingMessage, error: Exception) -> None:
        """Hand the message to the retry ladder, or to the dead letters."""
        wire_message = retry.next_stop(
            pending.delivery.wire_message,
            error,
            queue=pending.delivery.queue,
            service=self._service,
            now=self._clock(),
        )
        self._observer.failed(pending, wire_message, error)
        await self._hand_over(pending.delivery, wire_message, error)

    async def postpone(self, pending: PendingMessage, error: EffectUnavailable) -> None:
        """Let the message wait on the retry ladder, without counting an attempt."""
        delivery = pending.delivery
        tried = not isinstance(error, EffectNotTried)
        wire_message = retry.postpone(
            delivery.wire_message, queue=delivery.queue, service=self._service, tried=tried
        )
        self._observer.failed(pending, wire_message, error)
        await self._hand_over(delivery, wire_message, error)

    async def leave_to_other_release(self, delivery: Delivery, error: OtherRelease) -> None:
        """Let the message wait on the retry ladder until an instance of the other release takes it."""
        wire_message = retry.next_stop(
            delivery.wire_message, error, queue=delivery.queue, service=self._service, now=self._clock()
        )
        await self._hand_over(delivery, wire_message, error)

    async def give_up(self, delivery: Delivery, error: Exception) -> None:
        """Dead-letter what can never be handled."""
        dead_letter = retry.dead_letter(
            delivery.wire_message, error, queue=delivery.queue, service=self._service, now=self._clock()
        )
        await self._hand_over(delivery, dead_letter, error)

    async def _hand_over(self, delivery: Delivery, wire_message: WireMessage, error: Exception) -> None:
        """Publish to the ladder or the dead letters, confirmed; only then acknowledge the original.

        If the broker cannot take it because of its own content, a smaller dead letter takes its place.
        """
        self._observer.handed_over(delivery, wire_message, error)
        smaller = retry.smaller_dead_letters(
            delivery.wire_message, error, queue=delivery.queue, service=self._service, now=self._clock()
        )
        for each in (wire_message, *smaller):
            refused = await self._publish({each.message_id or "": each})
            if not any(isinstance(error, MessageNotEncodable) for error in refused.values()):
                break
        if refused:
            telemetry.log.error(
                "the broker took neither the message for the ladder nor a dead letter",
                queue=delivery.queue,
                error="; ".join(map(str, refused.values())),
            )
            await Backoff(1.0, 1.0).pause()
            await delivery.requeue()
        else:
            await delivery.ack()
        self._settled()

    async def _publish(self, wire_messages: Mapping[str, WireMessage]) -> dict[str, Exception]:
        """Publish until the broker has confirmed or refused each. Returns the refused ones by id."""
        refused: dict[str, Exception] = {}
        backoff = Backoff(0.05, _BACKOFF_S_MAX)
        while wire_messages:
            results = await self._bus.publish(list(wire_messages.values()))
            outcome = dict(zip(wire_messages, results, strict=True))
            refused |= {
                id_: error
                for id_, error in outcome.items()
                if error and not isinstance(error, BusUnavailable)
            }
            wire_messages = {
                id_: wire_messages[id_] for id_, e in outcome.items() if isinstance(e, BusUnavailable)
            }
            if wire_messages:
                await backoff.pause()
        return refused


def _problem(error: StoreUnavailable) -> str:
    """The reason for `/readyz`."""
    if isinstance(error, WriteConflicts):
        return f"other instances write the same documents at the same time: {error}"
    return "the database does not answer"
