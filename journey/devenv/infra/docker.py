"""RabbitMQ and MongoDB in containers, through testcontainers; for tests on machines with a Docker engine.

testcontainers' reaper removes the containers when the test process ends.
"""

import asyncio
import contextlib
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log
from journey.devenv.infra import local_mongo, ready
from journey.devenv.infra.commands import run
from journey.devenv.infra.local_rabbit import COUNTING_ERLANG, LIMITING_ERLANG, PLUGINS

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

ENGINE_LIMIT_S = 5.0
PULL_LIMIT_S = 180.0
START_TIMEOUT_S = 90.0
USER = "operator"
REMEDY = "start Docker (`docker info` must answer), or set JOURNEY_INFRA=local"


def rabbitmq_image() -> str:
    return os.environ.get("RABBITMQ_IMAGE") or "rabbitmq:4-management"


def mongo_image() -> str:
    return os.environ.get("MONGO_IMAGE") or "mongo:7"


@dataclass
class Containers:
    """Addresses of the running containers, and their ids, with which another process can remove them."""

    ids: list[str] = field(default_factory=list)
    amqp_url: str = field(default="", repr=False)
    management_url: str = field(default="", repr=False)
    mongo_url: str = field(default="", repr=False)


async def require_engine() -> None:
    """Raises InfrastructureUnavailable if no Docker engine responds within ENGINE_LIMIT_S."""
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    code, output = await run(command, timeout_s=ENGINE_LIMIT_S)
    if code != 0:
        last = (output.strip().splitlines() or ["no response"])[-1]
        raise InfrastructureUnavailable(f"no Docker engine responds: {last}", REMEDY)


async def require_images(images: list[str], log: Log) -> None:
    for image in images:
        code, _ = await run(["docker", "image", "inspect", "--format", "{{.Id}}", image], timeout_s=10)
        if code == 0:
            continue
        log(f"pulling {image}")
        code, output = await run(["docker", "pull", "--quiet", image], timeout_s=PULL_LIMIT_S)
        if code != 0:
            last = (output.strip().splitlines() or ["no response"])[-1]
            raise InfrastructureUnavailable(
                f"the image {image} is missing and cannot be pulled: {last}",
                "set RABBITMQ_IMAGE and MONGO_IMAGE to available images, or set JOURNEY_INFRA=local",
            )


async def start_containers(log: Log) -> Containers:
    """Start both and return when they accept a login and a write; on any failure, remove both."""
    await require_engine()
    helpers = _reaper_images()
    await require_images([rabbitmq_image(), mongo_image(), *helpers], log)
    log("starting RabbitMQ and MongoDB in Docker")
    password = secrets.token_hex(16)
    rabbit = _rabbit(password)
    mongo = _mongo(password)
    started = Containers()
    try:
        for container in (rabbit, mongo):
            await _start(container, started)
        host, amqp, management = await asyncio.to_thread(_address, rabbit, 5672, 15672)
        started.amqp_url = f"amqp://{USER}:{password}@{host}:{amqp}"
        started.management_url = f"http://{USER}:{password}@{host}:{management}"
        mongo_host, mongo_port = await asyncio.to_thread(_address, mongo, 27017)
        login = f"{local_mongo.USER}:{password}"
        started.mongo_url = f"mongodb://{login}@{mongo_host}:{mongo_port}/?directConnection=true"
        await _wait_ready(started)
    except BaseException:
        await remove(started.ids)
        raise
    return started


async def remove(ids: list[str]) -> None:
    """Remove containers; missing ones are no error."""
    if ids:
        await run(["docker", "rm", "--force", "--volumes", *ids], timeout_s=60)


def _reaper_images() -> list[str]:
    try:
        from testcontainers.core.config import testcontainers_config  # a development dependency
    except ImportError as error:
        raise InfrastructureUnavailable(
            "testcontainers is not installed", 'pip install "order-journey[dev]"'
        ) from error
    return [] if testcontainers_config.ryuk_disabled else [testcontainers_config.ryuk_image]


def _rabbit(password: str) -> "DockerContainer":
    plugins = f"echo '{PLUGINS.strip()}' >/etc/rabbitmq/enabled_plugins"
    start = f"{plugins} && exec docker-entrypoint.sh rabbitmq-server"
    container = _container(rabbitmq_image(), 5672, 15672).with_command(["bash", "-c", start])
    return container.with_envs(
        RABBITMQ_DEFAULT_USER=USER,
        RABBITMQ_DEFAULT_PASS=password,
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=f"{COUNTING_ERLANG} {LIMITING_ERLANG}",
    )


def _mongo(password: str) -> "DockerContainer":
    """The image creates the administrator. The members of a set with logins need a key file, even one member
    (manual: "Keyfile Authentication"), which only its owner may read.
    """
    start = (
        '(umask 377; printf %s "$MONGO_KEY" >/tmp/key) && chown mongodb /tmp/key && '
        "exec docker-entrypoint.sh mongod --replSet rs0 --bind_ip_all --keyFile /tmp/key "
        "--setParameter transactionLifetimeLimitSeconds=10"
    )
    container = _container(mongo_image(), 27017).with_command(["bash", "-c", start])
    return container.with_envs(
        MONGO_INITDB_ROOT_USERNAME=local_mongo.USER,
        MONGO_INITDB_ROOT_PASSWORD=password,
        MONGO_KEY=secrets.token_hex(32),
    )


def _container(image: str, *ports: int) -> "DockerContainer":
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image)
    published: dict[str, Any] = container.ports
    for port in ports:
        # Only this machine needs the ports.
        published[str(port)] = ("127.0.0.1",) if _engine_is_here(container) else None
    return container


def _engine_is_here(container: "DockerContainer") -> bool:
    """Whether loopback reaches the engine: not if it is on another machine,
    or if we run in a container ourselves.
    """
    from testcontainers.core.config import ConnectionMode

    client = container.get_docker_client()
    by_host = client.get_connection_mode() is ConnectionMode.docker_host
    return by_host and client.host() in ("localhost", "127.0.0.1")


async def _start(container: "DockerContainer", started: Containers) -> None:
    try:
        await asyncio.to_thread(container.start)
    except Exception as error:  # docker, requests and testcontainers each have their own errors
        raise InfrastructureUnavailable(f"{container.image} does not start: {error}", REMEDY) from error
    finally:
        with contextlib.suppress(AttributeError):  # it has no id if it was never created
            started.ids.append(container.get_container_id())


def _address(container: "DockerContainer", *ports: int) -> tuple[Any, ...]:
    host = container.get_container_host_ip()
    return ("127.0.0.1" if host == "localhost" else host, *map(container.get_exposed_port, ports))


async def _wait_ready(started: Containers) -> None:
    why: dict[str, str | None] = {}
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                await _initiate(started.mongo_url)
                why["MongoDB"] = await ready.mongo_refuses(started.mongo_url, limit_s=2.0)
                why["RabbitMQ"] = await ready.management_refuses(started.management_url)
                if not any(why.values()):
                    why["RabbitMQ"] = await ready.amqp_refuses(started.amqp_url)
                if not any(why.values()):
                    return
                await asyncio.sleep(0.3)
    except TimeoutError:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in why.items() if reason)
        raise InfrastructureUnavailable(
            f"the containers were not ready after {START_TIMEOUT_S:.0f} s ({reasons})", REMEDY
        ) from None


async def _initiate(mongo_url: str) -> None:
    """Each member is configured with its address inside the container; from outside we connect directly."""
    members = [{"_id": 0, "host": "127.0.0.1:27017"}]
    async with AsyncMongoClient[dict[str, Any]](mongo_url, serverSelectionTimeoutMS=1000) as client:
        with contextlib.suppress(PyMongoError):  # not up yet, or initiated already: the caller retries
            await client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
