"""A broker with the topology of the shop, and client programs on it."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from journey.admin.endpoints import ShopEndpoints
from tests.integration.clients.broker_client import ClientCommands
from tests.support.infrastructure import VirtualHost


@pytest.fixture
async def client_commands(vhost: VirtualHost, tmp_path: Path) -> AsyncIterator[ClientCommands]:
    management = vhost.management_url.partition("://")
    endpoints = ShopEndpoints(
        kind="test",
        vhost=vhost.name,
        amqp_base=vhost.amqp_url,
        passwords=vhost.passwords,
        http={},
        rabbitmq_ui=f"{management[0]}://{management[2].rpartition('@')[2]}",
        mailbox_url="",
    )
    (tmp_path / "system.json").write_text(json.dumps(asdict(endpoints)))
    client_commands = ClientCommands(tmp_path, endpoints, vhost, uuid4().hex[:8])
    yield client_commands
    async with vhost.admin as admin:
        for user in await admin.ask("GET", "users"):
            if user["name"].endswith(client_commands.suffix):
                await admin.ask("DELETE", f"users/{user['name']}", missing_ok=True)


@pytest.fixture
async def api(vhost: VirtualHost) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{vhost.management_url}/api/", timeout=30) as client:
        yield client
