"""Real servers that we start: they keep their data through a crash, and leave nothing behind."""

import json
from pathlib import Path
from typing import Any

import aio_pika
import psutil
import pytest
from aio_pika.abc import AbstractChannel
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import private_dir, write_private
from journey.devenv.infra import docker, resolve
from journey.devenv.infra.local_mongo import LocalMongo
from journey.devenv.infra.local_rabbit import LocalRabbit
from journey.devenv.infra.mongod import find_or_download
from journey.devenv.infra.ports import free_ports
from journey.devenv.infra.processes import Processes
from tests.support.eventually import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

WAIT_S_MAX = 60.0

NAMED = ("RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL", "MONGO_URL", "SMTP_URL", "MAILBOX_URL")


def quiet(_text: str) -> None:
    pass


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMED:
        monkeypatch.delenv(name, raising=False)


async def publish(channel: AbstractChannel, queue: str, body: bytes) -> None:
    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await channel.default_exchange.publish(message, queue)


async def use_both(amqp_url: str, mongo_url: str) -> None:
    """Leave a durable message in the queue, and commit a transaction, which needs the replica set."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        for name, kind in (("orders", "quorum"), ("journal", "stream")):
            await channel.declare_queue(name, durable=True, arguments={"x-queue-type": kind})
            await publish(channel, name, b"placed")
    async with AsyncMongoClient[dict[str, object]](mongo_url) as client, client.start_session() as session:
        async with await session.start_transaction():
            await client.shop.orders.insert_one({"_id": "1"}, session=session)
        assert await client.shop.orders.count_documents({}) == 1


async def the_queue_is_on_disk(state_dir: Path, queue: str) -> None:
    """RabbitMQ 3.10 writes the name of a new quorum queue to disk about a second after it has confirmed
    it.
    """
    await until(lambda: any(queue.encode() in file.read_bytes() for file in state_dir.rglob("names.dets")))


def processes_of(state_dir: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(state_dir) in " ".join([*process.cmdline(), process.environ().get("HOME", "")]):
                found.append(process.name())
        except psutil.Error:
            continue
    return found


async def test_a_killed_broker_restarts_with_its_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_INFRA", "local")
    state_dir = tmp_path / "state"
    try:
        found = await resolve.obtain(state_dir, log=quiet)
        assert found.kind == "local"
        assert await resolve.responds(found)
        await use_both(found.amqp_url, found.mongo_url)

        await the_queue_is_on_disk(state_dir, "orders")
        assert await LocalRabbit(state_dir).kill()
        assert not await resolve.responds(found)
        again = await resolve.obtain(state_dir, log=quiet)
        assert again == found

        connection = await aio_pika.connect(again.amqp_url)
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("orders", passive=True)
            message = await queue.get(timeout=WAIT_S_MAX)
            assert message is not None
            assert message.body == b"placed"
            await message.ack()
    finally:
        await resolve.release(state_dir, log=quiet)
    assert processes_of(state_dir) == []


async def test_data_of_a_version_without_users_gets_them(tmp_path: Path) -> None:
    [port] = free_ports(1)
    processes, home = Processes(tmp_path), tmp_path / "mongo"
    program = await find_or_download(quiet)
    where = f"--bind_ip 127.0.0.1 --port {port} --nounixsocket --dbpath {private_dir(home / 'data1')}"
    processes.start("mongo1", [program, "--replSet", "rs0", *where.split()], log=home / "mongod1.log")
    anonymous = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    mongo = LocalMongo(tmp_path)
    try:
        async with AsyncMongoClient[dict[str, Any]](anonymous) as client:
            members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
            await client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
            await until(lambda: is_primary(client))
            await client.shop.orders.insert_one({"_id": "of before"})
        write_private(home / "settings.json", json.dumps({"ports": [port], "initiated": True}))

        await mongo.start(quiet)  # it still runs without logins
        assert await orders_of(mongo.url) == await orders_of(anonymous) == ["of before"]
        await mongo.stop()
        await mongo.start(quiet)
        assert await orders_of(mongo.url) == ["of before"]
        with pytest.raises(OperationFailure, match="requires authentication"):
            await orders_of(anonymous)
    finally:
        await mongo.kill()


async def is_primary(client: AsyncMongoClient[dict[str, Any]]) -> bool:
    return bool((await client.admin.command("hello")).get("isWritablePrimary"))


async def orders_of(url: str) -> list[str]:
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        return [each["_id"] for each in await client.shop.orders.find().to_list()]


async def test_containers_are_found_again_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_INFRA", "docker")
    try:
        await docker.require_engine()
    except InfrastructureUnavailable:
        with pytest.raises(InfrastructureUnavailable, match="Docker"):  # an explicit choice has no fallback
            await resolve.obtain(tmp_path, for_tests=True, log=quiet)
        return
    try:
        found = await resolve.obtain(tmp_path, for_tests=True, log=quiet)
        await use_both(found.amqp_url, found.mongo_url)
        assert await resolve.obtain(tmp_path, for_tests=True, log=quiet) == found
    finally:
        await resolve.release(tmp_path, log=quiet)
    assert not await resolve.responds(found)
