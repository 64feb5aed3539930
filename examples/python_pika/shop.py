"""A client of the shop, using pika's blocking connection. `journey client add NAME` prints the URL."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pika
from pika.adapters.blocking_connection import BlockingChannel

AT_REST = (
    "order.confirmed.v1",
    "order.rejected.v1",
    "order.cancelled.v1",
    "order.needs_attention.v1",
    "order.cancellation_refused.v1",
)
Event = dict[str, Any]


class Shop:
    """One connection; use it in a `with` block, from one thread."""

    def __init__(self, url: str) -> None:
        self._user = unquote(urlsplit(url).username or "")
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._sending = self._confirming()
        self._listening = self._connection.channel()
        self._received: dict[str, list[Event]] = defaultdict(list)
        queue = f"{self._user}.{uuid4()}"
        self._listening.queue_declare(queue, exclusive=True)
        self._listening.queue_bind(queue, "client_events", "order.*.*")
        self._listening.basic_consume(queue, self._on_event, auto_ack=True)

    def __enter__(self) -> "Shop":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection.is_open:
            self._connection.close()

    def place(
        self, customer_id: str, lines: dict[str, int], card_token: str, order_id: str | None = None
    ) -> str:
        """Place an order. Returns its id once the broker has confirmed the command;
        events report the outcome.
        """
        order_id = order_id or str(uuid4())
        wanted = [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()]
        body = {"order_id": order_id, "customer_id": customer_id, "lines": wanted, "card_token": card_token}
        self.send("order.place.v1", body)
        return order_id

    def cancel(self, order_id: str, customer_id: str) -> None:
        self.send("order.cancel.v1", {"order_id": order_id, "customer_id": customer_id})

    def send(self, type_: str, body: dict[str, Any], message_id: str | None = None) -> None:
        """Returns when the broker has confirmed the message.

        Raises UnroutableError if no queue takes it, or ChannelClosedByBroker with code 403 if this client may
        not send it. After NackError or a lost connection, send it again with the same `message_id`: it takes
        effect only once.
        """
        if not self._sending.is_open:
            self._sending = self._confirming()
        properties = pika.BasicProperties(
            type=type_,
            message_id=message_id or str(uuid4()),
            user_id=self._user,
            content_type="application/json",
            delivery_mode=2,
        )
        self._sending.basic_publish("commands", type_, json.dumps(body).encode(), properties, mandatory=True)

    def follow(self, order_id: str, until: Collection[str] = AT_REST) -> Iterator[Event]:
        """The received events of an order, from the first one to the first of a type in `until`."""
        seen: set[str] = set()
        position = 0
        while True:
            while position == len(self._received[order_id]):
                self._connection.process_data_events(time_limit=None)
            event = self._received[order_id][position]
            position += 1
            if event["id"] in seen:  # an event may arrive more than once
                continue
            seen.add(event["id"])
            yield event
            if event["type"] in until:
                return

    def _confirming(self) -> BlockingChannel:
        channel = self._connection.channel()
        channel.confirm_delivery()
        return channel

    def _on_event(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        document = json.loads(body)
        self._received[document["order_id"]].append(
            {"type": properties.type, "id": properties.message_id, "body": document}
        )
