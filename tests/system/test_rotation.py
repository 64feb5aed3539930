"""Every secret of every process is replaced while orders run, without a restart."""

import asyncio
import json
import math
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from chassis.connection_urls import password_of, user_of, with_password
from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from journey.admin.broker.management import AdminUnavailable, BrokerAdmin
from journey.admin.database.target import FILE
from journey.admin.endpoints import GATEWAY
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import write_private
from journey.admin.registry import SERVICES
from journey.devenv import demo_users
from journey.devenv.demo_users import DemoUser
from journey.devenv.infra import resolve
from journey.devenv.infra.local_mongo import LocalMongo
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import register, seed
from tests.support.broker_connections import reconnected
from tests.support.certificates import certificate_files
from tests.support.eventually import until
from tests.support.infrastructure import fresh_system
from tests.support.mail_relay import MailRelay, mail_relay
from tests.support.rotated_tokens import logged_in, replace_service_token_and_signing_key
from tests.support.shops.gateway import ORDER
from tests.support.system_fixtures import OrderLoad

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1800)]

WAIT_S = 300.0
NAMED = ("RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL", "MONGO_URL", "SMTP_URL", "MAILBOX_URL")


@dataclass(frozen=True)
class RunningShop:
    """`smtp_password`: the file of notification_svc, which logs in to the relay. `broker_logs`: a folder.

    `mongo`: the database's server.
    """

    system: ProcessShop
    relay: MailRelay
    smtp_password: Path
    broker_logs: Path
    mongo: LocalMongo


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the servers."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture
async def own_servers(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Infrastructure]:
    """A broker of its own, because the services' users belong to the whole broker."""
    monkeypatch.setenv("JOURNEY_INFRA", "local")
    for name in NAMED:
        monkeypatch.delenv(name, raising=False)
    try:
        yield await resolve.obtain(home, for_tests=True, log=quiet)
    finally:
        await resolve.release(home, log=quiet)


@pytest.fixture
async def shop(own_servers: Infrastructure, home: Path, tmp_path: Path) -> AsyncIterator[RunningShop]:
    """With the web programs, and a mail server that wants a login before the mailbox."""
    files, password_file = certificate_files(tmp_path / "mail", hosts=("localhost",)), tmp_path / "smtp"
    write_private(password_file, secrets.token_hex(16))
    settings = {
        "SMTP_PASSWORD_FILE": str(password_file),
        "SMTP_CA_FILE": str(files.ca),
        **dict.fromkeys(("RATE_ORDERS", "RATE_USER", "RATE_ANONYMOUS"), "100000"),
    }
    async with mail_relay(files, own_servers.smtp_url, password_file) as relay:
        servers = replace(own_servers, smtp_url=relay.url)
        async with fresh_system(servers, tmp_path / "shop", 0.05, settings) as system:
            await system.up(quiet, web=True)
            await seed(system)
            yield RunningShop(system, relay, password_file, home / "rabbit" / "log", LocalMongo(home))


def quiet(_text: str) -> None:
    pass


async def test_secrets_are_replaced_while_orders_run(shop: RunningShop) -> None:
    system = shop.system
    load = OrderLoad(system, await register(system, ["Ada", "Grace", "Edsger"]), seed=1)
    customer = (await demo_users.ensure(system)).customer
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as placing:
        placing.create_task(load.place_over_time(60, pause_s=1.0, until=enough.is_set))
        placing.create_task(place_at_the_gateway(system, customer, load, until=enough.is_set))
        for service in (*SERVICES, GATEWAY):
            await replace_broker_password(system, service)
            await replace_database_password(system, service)
        await replace_operators_password(shop)
        original = password_of(system.database.url)
        await replace_database_administrators_password(shop, secrets.token_hex(16))
        await replace_smtp_password(shop)
        await replace_service_token_and_signing_key(system, customer)
        enough.set()
    await load.all_end_as_expected(wait_s=WAIT_S)
    await load.one_mail_each(wait_s=WAIT_S)
    await load.doctor_agrees()  # also: no dead letter
    await the_next_start_keeps_them(system)
    await replace_database_administrators_password(shop, original)  # so that the databases can be removed


async def place_at_the_gateway(
    system: ProcessShop, customer: DemoUser, load: OrderLoad, until: Callable[[], bool]
) -> None:
    """One order after another, with a token that is renewed when it is refused.

    A request without a response is repeated with its idempotency key.
    """
    orders = f"{system.endpoints.shop_url}/api/v1/orders"
    wanted = ORDER | {"lines": [{"sku": "TEA-GREEN", "quantity": 1}]}
    token = await logged_in(system, customer)
    async with httpx.AsyncClient(timeout=60) as http:
        while not until():
            headers = {"Idempotency-Key": f'"{new_id()}"'}
            while True:
                headers["Authorization"] = f"Bearer {token}"
                response = await http.post(orders, json=wanted, headers=headers)
                if response.status_code == 401:
                    token = await logged_in(system, customer)
                elif response.status_code != 503:
                    break
                await asyncio.sleep(0.2)
            load.expected[UUID(response.raise_for_status().json()["id"])] = "confirmed"
            await asyncio.sleep(1.0)


async def replace_broker_password(system: ProcessShop, service: str) -> None:
    """First the file, then the broker; then the service's connections are closed, and it logs in again."""
    password = secrets.token_hex(16)
    write_private(system.processes_environment.password_file(service), password)
    system.endpoints.passwords[service] = password
    await system.apply_topology()
    await reconnected(system, service, within_s=WAIT_S)
    await system.ready([service])


async def replace_database_password(system: ProcessShop, service: str) -> None:
    """First the database, then the file: the other order is tested at the store."""
    user = f"{system.database.prefix}{service}"
    old = system.database.url_of(service)
    password = secrets.token_hex(16)
    system.database.passwords[user] = password
    await system.database.apply()
    write_private(system.processes_environment.password_file(FILE.format(user)), password)
    log = system.state_dir / "log" / f"{service}.log"
    await until(lambda: "using the new database password" in log.read_text(), within_s=WAIT_S)
    await system.ready([service])
    async with AsyncMongoClient[dict[str, Any]](old) as revoked:
        with pytest.raises(OperationFailure, match="Authentication failed"):
            await revoked.admin.command("ping")


async def replace_operators_password(shop: RunningShop) -> None:
    """First the broker, then the file of operations, which uses it for the management API and for queues."""
    system, password = shop.system, secrets.token_hex(16)
    old = system.infrastructure
    await until(lambda: measured(system), within_s=WAIT_S)
    async with system.admin as admin:
        new = {"password": password, "tags": "administrator"}
        await admin.ask("PUT", f"users/{OPERATOR}", json=new)
    system.infrastructure = replace(
        old,
        amqp_url=with_password(old.amqp_url, password),
        management_url=with_password(old.management_url, password),
    )
    system.endpoints.passwords[OPERATOR] = password
    async with BrokerAdmin(old.management_url) as revoked:
        with pytest.raises(AdminUnavailable, match="not authorized"):
            await revoked.ask("GET", "whoami")
    await until(lambda: measured(system), lambda known: not known, within_s=WAIT_S)
    refused = operators_logins(shop.broker_logs, "refused")
    await until(lambda: operators_logins(shop.broker_logs, "refused") > refused, within_s=WAIT_S)
    granted = operators_logins(shop.broker_logs, "granted")
    write_private(system.processes_environment.password_file(OPERATOR), password)
    await until(lambda: measured(system), within_s=WAIT_S)
    await until(lambda: operators_logins(shop.broker_logs, "granted") > granted, within_s=WAIT_S)


async def replace_database_administrators_password(shop: RunningShop, password: str) -> None:
    """First the database, then the file from which `journey up` takes it. No service uses it."""
    system, old = shop.system, shop.system.database
    url = with_password(old.url, password)
    async with AsyncMongoClient[dict[str, Any]](old.url) as client:
        await client.admin.command("updateUser", user_of(old.url), pwd=password)
    with pytest.raises(InfrastructureUnavailable):
        await old.apply()
    settings = shop.mongo.dir / "settings.json"
    write_private(settings, json.dumps(json.loads(settings.read_text()) | {"password": password}))
    await shop.mongo.start(quiet)
    assert password_of(shop.mongo.url) == password
    system.database = replace(old, url=url)
    system.infrastructure = replace(system.infrastructure, mongo_url=url)
    await system.database.apply()
    assert await system.database.plan() == []
    await system.ready([*SERVICES, GATEWAY])


def operators_logins(broker_logs: Path, outcome: str) -> int:
    """How often the operator has logged in to the broker, or has been refused; only operations does."""
    text = {"granted": "authenticated and granted", "refused": "- invalid credentials"}[outcome]
    return sum(file.read_text().count(f"user '{OPERATOR}' {text}") for file in broker_logs.glob("*.log"))


async def measured(system: ProcessShop) -> bool:
    """Whether operations has compared the broker with the topology, by the management API."""
    async with httpx.AsyncClient(timeout=60) as http:
        text = (await http.get(f"{system.endpoints.http['operations']}/metrics")).text
    values = [line.split()[1] for line in text.splitlines() if line.startswith("journey_topology_drift ")]
    return bool(values) and not math.isnan(float(values[0]))


async def replace_smtp_password(shop: RunningShop) -> None:
    """First the mail server, which then refuses the old one, and mails wait; then the file."""
    relay, password = shop.relay, secrets.token_hex(16)
    await until(lambda: relay.mails, within_s=WAIT_S)
    old, relay.password = relay.password, password
    relay.disconnect()
    begun = len(relay.logins)
    await until(lambda: old in relay.logins[begun:], within_s=WAIT_S)
    sent = len(relay.mails)
    write_private(shop.smtp_password, password)
    await until(lambda: password in relay.logins and len(relay.mails) > sent, within_s=WAIT_S)


async def the_next_start_keeps_them(system: ProcessShop) -> None:
    """`journey up` on the same state directory sets the replaced passwords, not the derived ones."""
    vhost, prefix = system.endpoints.vhost, system.endpoints.database_prefix
    again = ProcessShop(system.state_dir, system.infrastructure, vhost=vhost, database_prefix=prefix)
    services = (*SERVICES, GATEWAY, OPERATOR)
    assert [again.endpoints.passwords[each] for each in services] == [
        system.endpoints.passwords[each] for each in services
    ]
    in_files = {f"{prefix}{name}" for name in (*SERVICES, GATEWAY)}
    assert {user: again.database.passwords[user] for user in in_files} == {
        user: system.database.passwords[user] for user in in_files
    }
    assert again.endpoints.service_token != system.endpoints.service_token
    await asyncio.gather(again.apply_topology(), again.database.apply())
    await system.ready([*SERVICES, GATEWAY])
