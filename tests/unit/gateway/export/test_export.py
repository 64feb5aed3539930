"""The export of a user's data: all services are asked, only about this user, and a missing part is marked."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI, Request

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.codec import Codec
from chassis.core.definition import ServiceDefinition
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from chassis.store.protocol import Change
from chassis.web import app as http
from contracts.http.orders import OrderStatus
from contracts.notifications import MailKind
from gateway.export import data_export
from inventory_svc import api as inventory_api
from inventory_svc.service import inventory_service
from inventory_svc.stock import Reservation
from notification_svc import api as notification_api
from notification_svc.mail import Mail, MailStatus
from notification_svc.service import notification_service
from order_svc import api as order_api
from order_svc.order import Order
from order_svc.service import order_service
from payment_svc import api as payment_api
from payment_svc.payment import Payment
from payment_svc.service import payment_service
from tests.support.shops.gateway import DELIVERY, place_order
from tests.support.shops.gateway_with_services import (
    HOME,
    KETTLE,
    GatewayWithServices,
    Page,
    SwitchableService,
    add_to_basket,
)

EXPORT = "/api/v1/users/me/export"
BEHIND = ("order_svc", "inventory_svc", "payment_svc", "notification_svc")


def running(definition: ServiceDefinition) -> Runtime:
    broker = MemoryBroker(build([definition]))
    return Runtime(definition, MemoryBus(broker, definition.name), MemoryStore())


async def keep(runtime: Runtime, kind: str, key: str, state: Any) -> None:
    loaded = (await runtime.store.load(kind, [key]))[key]
    assert await runtime.store.save([Change(loaded, Codec(type(state)).dump(state))])


class Shop:
    """The gateway with every service, and data of two customers."""

    def __init__(self) -> None:
        self.orders, self.payments = running(order_service()), running(payment_service())
        self.mails, self.stock = running(notification_service()), running(inventory_service())
        apps = {
            "order_svc": http.create_app(self.orders, order_api.routes(self.orders)),
            "payment_svc": http.create_app(self.payments, payment_api.routes(self.payments)),
            "notification_svc": http.create_app(self.mails, notification_api.routes(self.mails)),
            "inventory_svc": http.create_app(self.stock, inventory_api.routes(self.stock)),
        }
        self.services = {name: SwitchableService(app) for name, app in apps.items()}
        self.gateway = GatewayWithServices(services=self.services)

    async def order(self, customer_id: UUID) -> str:
        order_id = str(new_id())
        order = Order(status=OrderStatus.CONFIRMED, customer_id=customer_id)
        await keep(self.orders, "orders", order_id, order)
        await keep(self.payments, "payments", order_id, Payment(customer_id=customer_id))
        await keep(self.stock, "reservations", order_id, Reservation())
        mail = Mail(MailStatus.SENT, new_id(), MailKind.ORDER_CONFIRMED, customer_id)
        await keep(self.mails, "mails", f"{order_id}:order_confirmed", mail)
        return order_id


async def customer(shop: Shop) -> tuple[httpx.AsyncClient, UUID]:
    """A logged-in customer with an order, an address and a basket, beside another customer with an order."""
    await shop.order(new_id())
    ada = await shop.gateway.logged_in_customer()
    me = (await ada.get("/api/v1/users/me")).json()
    await ada.post("/account/addresses", data=HOME)
    await shop.gateway.offer_product(KETTLE)
    await add_to_basket(ada)
    return ada, UUID(me["user_id"])


async def exported(browser: httpx.AsyncClient) -> dict[str, Any]:
    response = await browser.get(EXPORT)
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = response.json()
    return found


def ids(export: dict[str, Any], service: str, name: str, field: str = "order_id") -> list[str]:
    return [item[field] for item in export["services"][service]["data"][name]]


async def test_the_export_has_the_data_of_every_service() -> None:
    shop = Shop()
    ada, user_id = await customer(shop)
    order = await shop.order(user_id)
    export = await exported(ada)
    services = export["services"]
    assert export["complete"] and export["user_id"] == str(user_id)
    assert {name: part["complete"] for name, part in services.items()} == dict.fromkeys(services, True)
    account = services["user_svc"]["data"]
    assert account["account"]["addresses"][0]["street"] == HOME["street"]
    assert len(account["sessions"]) == 2
    assert services["gateway"]["data"]["basket"] == [{"sku": KETTLE, "quantity": 1}]
    assert ids(export, "order_svc", "orders") == [order]
    assert ids(export, "payment_svc", "payments") == [order]
    assert ids(export, "inventory_svc", "reservations") == [order]
    assert ids(export, "notification_svc", "mails", "key") == [f"{order}:order_confirmed"]
    assert "password" not in str(export).lower()


async def test_the_export_has_the_delivery_address_of_each_order() -> None:
    shop = Shop()
    ada, _ = await customer(shop)
    first = await place_order(ada)
    second = await place_order(ada, delivery_address=DELIVERY | {"street": "1 Engine Yard"})
    assert first.status_code == second.status_code == 202
    shop.gateway.user_svc.away = True  # it stores no addresses of orders
    exported_orders = (await exported(ada))["services"]["gateway"]["data"]["orders"]
    streets = {order["id"]: order["delivery_address"]["street"] for order in exported_orders}
    assert streets == {
        first.json()["id"]: DELIVERY["street"],
        second.json()["id"]: "1 Engine Yard",
    }


@pytest.mark.parametrize("name", [*BEHIND, "user_svc"])
async def test_a_service_that_is_away_leaves_its_part_marked(name: str) -> None:
    shop = Shop()
    ada, user_id = await customer(shop)
    await shop.order(user_id)
    service = shop.gateway.user_svc if name == "user_svc" else shop.services[name]
    service.away = True
    export = await exported(ada)
    assert not export["complete"]
    missing = {each for each, part in export["services"].items() if not part["complete"]}
    by_orders = {"inventory_svc", "payment_svc"} if name == "order_svc" else set()
    assert missing == {name} | by_orders
    assert name in export["services"][name]["detail"]


async def test_a_service_without_an_address_is_marked_with_its_setting() -> None:
    shop = Shop()
    shop.gateway = GatewayWithServices(services=shop.services, payment_svc_url="")
    ada, _ = await customer(shop)
    part = (await exported(ada))["services"]["payment_svc"]
    assert not part["complete"] and "PAYMENT_SVC_URL" in part["detail"]


async def test_an_older_release_never_adds_other_users_data() -> None:
    """It ignores a parameter that it does not know, and lists the data of everyone."""
    shop = Shop()
    ada, _ = await customer(shop)
    other = {"order_id": str(new_id()), "user_id": str(new_id()), "customer_id": str(new_id())}
    older = FastAPI()

    @older.get("/{path}")
    async def everything(path: str, request: Request) -> Any:
        return {"items": [other], "next": None if "after" in request.query_params else str(new_id())}

    for service in shop.services.values():
        service.app = older
    export = await exported(ada)
    assert not any(value in str(export) for value in other.values())
    assert {name for name, part in export["services"].items() if not part["complete"]} >= {
        "order_svc",
        "notification_svc",
    }


async def test_a_long_history_is_cut_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_export, "ITEMS_MAX", 4)
    monkeypatch.setattr(data_export, "PAGE_SIZE", 2)
    shop = Shop()
    ada, user_id = await customer(shop)
    made = [await shop.order(user_id) for _ in range(5)]
    export = await exported(ada)
    assert ids(export, "order_svc", "orders") == made[:0:-1]
    assert ids(export, "payment_svc", "payments") == made[:0:-1]
    assert not export["complete"] and "newest" in export["services"]["order_svc"]["detail"]


async def test_the_page_downloads_a_file_that_names_a_missing_part() -> None:
    shop = Shop()
    ada, user_id = await customer(shop)
    await shop.order(user_id)
    assert 'href="/account/export"' in Page(await ada.get("/account")).html
    whole = await ada.get("/account/export")
    assert whole.headers["Content-Disposition"] == 'attachment; filename="order-journey-data.json"'
    assert whole.json()["complete"]
    shop.services["payment_svc"].away = True
    partial = await ada.get("/account/export")
    assert "incomplete.json" in partial.headers["Content-Disposition"]


async def test_guests_and_erased_users_get_no_export() -> None:
    shop = Shop()
    ada, _ = await customer(shop)
    assert (await shop.gateway.client().get(EXPORT)).status_code == 401
    await ada.post("/account/erasure", data={"password": "correct horse battery"})
    assert (await ada.get(EXPORT)).status_code == 401


async def test_exports_are_limited_per_user() -> None:
    shop = Shop()
    ada, _ = await customer(shop)
    statuses = [(await ada.get(EXPORT)).status_code for _ in range(7)]
    assert statuses == [200] * 6 + [429]
