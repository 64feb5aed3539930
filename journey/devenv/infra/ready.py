"""Checks whether a broker, a database or a mailbox responds; each check has a time limit."""

import asyncio
import contextlib
from urllib.parse import urlsplit

import aio_pika
import httpx
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from chassis.bus.aiormq_frames.broker_errors import describe
from journey.admin.ssl_context import tls

LIMIT_S = 3.0
_LOGIN_REFUSED = {  # the server's Unauthorized and AuthenticationFailed
    13: "the user cannot manage users; it needs the role root or userAdminAnyDatabase",
    18: "the user or the password is wrong",
}


async def http_get(url: str, path: str, *, limit_s: float = LIMIT_S) -> httpx.Response | None:
    """None if there is no response; credentials are taken from the URL."""
    parts = urlsplit(url)
    login = httpx.BasicAuth(parts.username, parts.password or "") if parts.username else None
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    try:
        # trust_env off: a proxy for the internet must not be used for our own servers
        async with httpx.AsyncClient(auth=login, timeout=limit_s, trust_env=False, verify=tls()) as client:
            return await client.get(base + path)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


async def mailbox_responds(mailbox_url: str) -> bool:
    response = await http_get(mailbox_url, "/livez")
    return response is not None and response.is_success


async def management_refuses(management_url: str) -> str | None:
    """Why this user cannot manage the broker, or None if it can."""
    response = await http_get(management_url, "/api/whoami")
    if response is None:
        return "nothing responds there"
    if response.status_code == 401:
        return "the user or the password is wrong"
    if not response.is_success:
        return f"it responded with HTTP {response.status_code}"
    try:
        tags = response.json()["tags"]
    except (ValueError, KeyError, TypeError):
        return "it is not RabbitMQ's management API"
    if "administrator" not in tags:
        return "that user does not have the tag administrator"
    return None


async def amqp_listens(host: str, port: int) -> bool:
    """Whether an AMQP server responds: cheaper than a login, and without error logs on our side."""
    writer = None
    try:
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"AMQP\x00\x00\x09\x01")
            return bool(await reader.read(1))
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def amqp_refuses(amqp_url: str) -> str | None:
    """Why no login is possible, or None if it is."""
    parts = urlsplit(amqp_url)
    default_port = 5671 if parts.scheme == "amqps" else 5672
    try:
        port = parts.port or default_port
    except ValueError:
        return "the port is not a number"
    if parts.scheme == "amqp" and not await amqp_listens(parts.hostname or "", port):
        return (
            "no broker responds there"  # checked first, because a failed login makes the client log an error
        )
    try:
        async with asyncio.timeout(LIMIT_S):
            connection = await aio_pika.connect(amqp_url)
            await connection.close()
    except TimeoutError:
        return "nothing responds there"
    except Exception as error:  # aiormq, pamqp, ssl and the socket each have their own errors
        return describe(error)
    return None


async def mongo_refuses(mongo_url: str, *, limit_s: float = LIMIT_S) -> str | None:
    """Why the database cannot be used, or None if it is a replica set with a primary, and the user an
    administrator.
    """
    milliseconds = int(limit_s * 1000)
    try:
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(
            mongo_url, serverSelectionTimeoutMS=milliseconds, timeoutMS=milliseconds
        )
    except (PyMongoError, ValueError) as error:
        return f"it is not a MongoDB URL: {error}"
    try:
        hello = await client.admin.command("hello")
        await client.admin.command("usersInfo", 1)
    except PyMongoError as error:
        code = error.code if isinstance(error, OperationFailure) else None
        return _LOGIN_REFUSED.get(code or 0, "no primary responds there")
    finally:
        await client.close()
    if "setName" not in hello:
        return "it is a standalone server; a replica set is needed (one node is enough: --replSet rs0)"
    return None if hello.get("isWritablePrimary") else "the responding node is not a primary"
