"""The journey as usually written with aio-pika and motor, without the chassis: one database call per step,
publish, ack.

It has no inbox and no outbox: a crash between the write and the publish loses the order's next step, and a
redelivery reserves and charges again. Otherwise the comparison is fair: concurrent handlers, durable quorum
queues, persistent messages, publisher confirms, the same message bodies, the same card provider and the same
mails.

Run as `python -m bench.plain order|inventory|payment|notification`, with the environment variables of the
real services.
"""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import aio_pika
import aiosmtplib
import httpx
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReturnDocument

from chassis.store.mongodb import MongoStore
from contracts import inventory, notifications, orders, payments, products
from contracts.catalog import NAMES
from contracts.values import Money
from payment_svc.payment import AuthorizeCard, CaptureAmount
from payment_svc.simulator import SimulatedProvider

PREFETCH = 200
Json = dict[str, Any]


class Plain:
    """One service: a database, an exchange, and a handler per message type."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.db: Any = AsyncIOMotorClient(os.environ["MONGO_URL"])[os.environ["MONGO_DATABASE"]]
        self.exchange: AbstractExchange
        self.handlers: dict[str, Callable[[Json], Awaitable[None]]] = {}

    async def publish(self, wire_type: str, body: Json) -> None:
        message = aio_pika.Message(
            json.dumps(body).encode(),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(uuid.uuid4()),
            type=wire_type,
            correlation_id=body["order_id"],
        )
        await self.exchange.publish(message, wire_type)

    async def on_message(self, message: AbstractIncomingMessage) -> None:
        await self.handlers[message.type or ""](json.loads(message.body))
        await message.ack()

    async def run(self) -> None:
        connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        self.exchange = await channel.get_exchange(NAMES.events, ensure=False)
        await self.prepare()
        for kind in ("events", "commands"):
            queue = await channel.get_queue(f"{self.name}_svc.{kind}")
            await queue.consume(self.on_message)
        print(f"{self.name} is consuming", flush=True)
        await asyncio.Event().wait()

    async def prepare(self) -> None:
        """Set up what the service needs before its first message."""


class PlainOrder(Plain):
    def __init__(self) -> None:
        super().__init__("order")
        self.handlers = {
            products.ProductListed.TYPE: self.listed,
            orders.PlaceOrder.TYPE: self.place,
            inventory.StockReserved.TYPE: self.reserved,
            payments.PaymentAuthorized.TYPE: self.authorized,
        }

    async def listed(self, event: Json) -> None:
        await self.db.prices.update_one(
            {"_id": event["sku"]}, {"$set": {"price": event["price"]}}, upsert=True
        )

    async def place(self, command: Json) -> None:
        skus = [line["sku"] for line in command["lines"]]
        prices = {doc["_id"]: doc["price"] async for doc in self.db.prices.find({"_id": {"$in": skus}})}
        lines = [{**line, "price": prices[line["sku"]]} for line in command["lines"]]
        total = {
            "amount_minor": sum(line["quantity"] * line["price"]["amount_minor"] for line in lines),
            "currency": lines[0]["price"]["currency"],
        }
        order = {"customer_id": command["customer_id"], "lines": lines, "total": total, "status": "placed"}
        await self.db.orders.insert_one({"_id": command["order_id"], **order})
        await self.publish(orders.OrderPlaced.TYPE, {**command, "lines": lines, "total": total})

    async def reserved(self, event: Json) -> None:
        await self.came_in(event["order_id"], "stock_reserved")

    async def authorized(self, event: Json) -> None:
        await self.came_in(event["order_id"], "payment_authorized")

    async def came_in(self, order_id: str, what: str) -> None:
        order = await self.db.orders.find_one_and_update(
            {"_id": order_id}, {"$set": {what: True}}, return_document=ReturnDocument.AFTER
        )
        if order.get("stock_reserved") and order.get("payment_authorized"):
            await self.db.orders.update_one({"_id": order_id}, {"$set": {"status": "confirmed"}})
            await self.publish(
                orders.OrderConfirmed.TYPE,
                {"order_id": order_id, "customer_id": order["customer_id"], "total": order["total"]},
            )


class Inventory(Plain):
    def __init__(self) -> None:
        super().__init__("inventory")
        self.handlers = {
            inventory.ReceiveStock.TYPE: self.receive,
            orders.OrderPlaced.TYPE: self.placed,
            orders.OrderConfirmed.TYPE: self.confirmed,
        }

    async def receive(self, command: Json) -> None:
        update = {"$inc": {"received": command["quantity"], "available": command["quantity"]}}
        await self.db.shelves.update_one({"_id": command["sku"]}, update, upsert=True)

    async def placed(self, event: Json) -> None:
        for line in event["lines"]:
            await self.db.shelves.update_one(
                {"_id": line["sku"], "available": {"$gte": line["quantity"]}},
                {"$inc": {"available": -line["quantity"], "reserved": line["quantity"]}},
            )
        await self.db.reservations.insert_one(
            {"_id": event["order_id"], "lines": event["lines"], "status": "held"}
        )
        await self.publish(inventory.StockReserved.TYPE, {"order_id": event["order_id"]})

    async def confirmed(self, event: Json) -> None:
        reservation = await self.db.reservations.find_one_and_update(
            {"_id": event["order_id"]}, {"$set": {"status": "committed"}}
        )
        for line in reservation["lines"]:
            await self.db.shelves.update_one(
                {"_id": line["sku"]}, {"$inc": {"reserved": -line["quantity"], "sold": line["quantity"]}}
            )
        await self.publish(inventory.StockCommitted.TYPE, {"order_id": event["order_id"]})


class PlainPayment(Plain):
    def __init__(self) -> None:
        super().__init__("payment")
        self.provider: SimulatedProvider
        self.handlers = {
            orders.OrderPlaced.TYPE: self.placed,
            inventory.StockReserved.TYPE: self.reserved,
            orders.OrderConfirmed.TYPE: self.confirmed,
        }

    async def prepare(self) -> None:
        store = MongoStore(os.environ["MONGO_URL"], os.environ["PROVIDER_DATABASE"])
        await store.start({"ledger": ()})
        self.provider = SimulatedProvider(store, latency_ms=int(os.environ.get("SIMULATOR_LATENCY_MS", "5")))

    async def placed(self, event: Json) -> None:
        known = {key: event[key] for key in ("total", "card_token", "customer_id")}
        await self.join(event["order_id"], {"placed": True, **known})

    async def reserved(self, event: Json) -> None:
        await self.join(event["order_id"], {"stock_reserved": True})

    async def join(self, order_id: str, known: Json) -> None:
        payment = await self.db.payments.find_one_and_update(
            {"_id": order_id}, {"$set": known}, upsert=True, return_document=ReturnDocument.AFTER
        )
        if not (payment.get("placed") and payment.get("stock_reserved")):
            return
        amount = Money(**payment["total"])
        request = AuthorizeCard(f"{order_id}:authorize", UUID(order_id), amount, payment["card_token"])
        result = await self.provider.authorize(request)
        authorized = {"status": "authorized", "reference": getattr(result, "reference", "")}
        await self.db.payments.update_one({"_id": order_id}, {"$set": authorized})
        await self.publish(
            payments.PaymentAuthorized.TYPE, {"order_id": order_id, "amount": payment["total"]}
        )

    async def confirmed(self, event: Json) -> None:
        payment = await self.db.payments.find_one({"_id": event["order_id"]})
        amount = Money(**payment["total"])
        await self.provider.capture(
            CaptureAmount(f"{event['order_id']}:capture", payment["reference"], amount)
        )
        await self.db.payments.update_one({"_id": event["order_id"]}, {"$set": {"status": "captured"}})
        await self.publish(
            payments.PaymentCaptured.TYPE, {"order_id": event["order_id"], "amount": payment["total"]}
        )


class Notification(Plain):
    def __init__(self) -> None:
        super().__init__("notification")
        self.contacts: dict[str, Json] = {}
        self.handlers = {orders.OrderConfirmed.TYPE: self.confirmed}

    async def prepare(self) -> None:
        token = os.environ["SERVICE_TOKEN"]
        self.http = httpx.AsyncClient(
            base_url=os.environ["USER_SVC_URL"], headers={"Authorization": f"Bearer {token}"}
        )
        host, _, port = os.environ["SMTP_URL"].removeprefix("smtp://").partition(":")
        self.smtp_host = host
        self.smtp_port = int(port)

    async def confirmed(self, event: Json) -> None:
        customer = event["customer_id"]
        if customer not in self.contacts:
            self.contacts[customer] = (await self.http.get(f"/internal/contacts/{customer}")).json()
        mail = EmailMessage()
        mail["From"], mail["To"] = "shop@order-journey.example", self.contacts[customer]["email"]
        mail["Subject"] = f"Your order {event['order_id']} is confirmed"
        mail.set_content(f"Dear {self.contacts[customer]['name']}, thank you for your order.")
        await aiosmtplib.send(mail, hostname=self.smtp_host, port=self.smtp_port)
        await self.db.mails.insert_one({"_id": event["order_id"], "status": "sent"})
        await self.publish(
            notifications.MailSent.TYPE,
            {"order_id": event["order_id"], "about": event["order_id"], "kind": "order_confirmed"},
        )


PLAIN: dict[str, Callable[[], Plain]] = {
    "order": PlainOrder,
    "inventory": Inventory,
    "payment": PlainPayment,
    "notification": Notification,
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PLAIN:
        sys.exit(f"usage: python -m bench.plain {'|'.join(PLAIN)}")
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(PLAIN[sys.argv[1]]().run())
