"""Every operators' command with a real shop whose mail server is down,
or one of whose services is stopped.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from journey.admin import paging
from journey.admin.private_files import write_private
from journey.devenv.infra.ports import free_ports
from journey.devenv.process_shop import ProcessShop
from tests.support.cli_runner import run_journey
from tests.support.eventually import until
from tests.support.system_fixtures import OrderLoad
from tests.system.test_operator_errors import BACKUPS, COMMANDS, LIBRARY, STARTING

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

# These change users, topology or roles; test_operator_errors.py runs them.
LEFT_OUT = STARTING | {"client add", "client remove", "staff grant", "staff revoke", "topology apply"}
WAIT_S_MAX = 120.0


async def test_without_the_mail_server_commands_work_and_explain_waiting_mail(
    system: ProcessShop, order_load: OrderLoad
) -> None:
    await system.set("notification_svc", SMTP_URL=f"smtp://127.0.0.1:{free_ports(1)[0]}")
    await order_load.place(6)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    order_id = next(order_id for order_id, status in order_load.expected.items() if status == "confirmed")
    await until(lambda: mails(system, order_id), lambda found: found == ["queued"], within_s=WAIT_S_MAX)

    ended = await all_commands(system, order_id, order_load.customers[0])
    assert not (wrong := list(faulty(ended))), "\n".join(wrong)
    assert "mail" in ended["explain"][1] and "notification_svc" in ended["explain"][1], ended["explain"][1]

    await system.set("notification_svc")
    await order_load.one_mail_each(wait_s=WAIT_S_MAX)


@pytest.mark.parametrize("service", ["order_svc", "payment_svc", "notification_svc"])
async def test_every_command_names_a_stopped_service(
    system: ProcessShop, order_load: OrderLoad, service: str
) -> None:
    await order_load.place(4)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    await order_load.one_mail_each(wait_s=WAIT_S_MAX)
    record = system.processes.running(service)
    assert record is not None
    os.kill(record.pid, signal.SIGSTOP)
    try:
        ended = await all_commands(system, next(iter(order_load.expected)), order_load.customers[0])
    finally:
        os.kill(record.pid, signal.SIGCONT)
    assert not (wrong := list(faulty(ended))), "\n".join(wrong)
    for command in ("doctor", "explain", "stuck"):
        code, output = ended[command]
        assert service in output, f"{command} ({code}) does not name {service}:\n{output}"


async def all_commands(system: ProcessShop, order_id: UUID, customer: UUID) -> dict[str, tuple[int, str]]:
    """Exit code and output of each command."""
    at_once = asyncio.Semaphore(3)
    write_private(
        system.state_dir / "infrastructure.json", system.infrastructure.to_json()
    )  # as `journey up` writes it

    async def run(command: str) -> tuple[int, str]:
        placeholders = {
            COMMANDS["explain"][0]: str(order_id),
            COMMANDS["place"][2]: str(customer),
            BACKUPS: str(system.state_dir / BACKUPS),
        }
        parts = [argument for argument in command.split() if argument not in ("for", "a", "new", "customer")]
        arguments = [placeholders.get(argument, argument) for argument in COMMANDS[command]]
        async with at_once:
            ended = await asyncio.to_thread(run_journey, system.state_dir, *parts, *arguments)
        return ended.returncode, ended.stdout + ended.stderr

    commands = sorted(COMMANDS.keys() - LEFT_OUT)
    return dict(zip(commands, await asyncio.gather(*map(run, commands)), strict=True))


def faulty(ended: dict[str, tuple[int, str]]) -> Iterator[str]:
    """One sentence for each command that fails without cause and remedy, or prints a library's message."""
    for command, (code, output) in ended.items():
        if found := LIBRARY.search(output):
            yield f"{command} ({code}) prints a library's message, {found[0]}:\n{output[-900:]}"
        if code not in (0, 1, 2, 3) or "the shop is not running" in output:
            yield f"{command} ends with {code}:\n{output[-900:]}"
        if code == 3 and "what to do" not in output:
            yield f"{command} ({code}) names no remedy:\n{output[-900:]}"


async def mails(system: ProcessShop, about: UUID) -> list[Any]:
    async with httpx.AsyncClient() as http:
        url = f"{system.endpoints.http['notification_svc']}/mails"
        return [mail["status"] async for mail in paging.pages(http, url, about=str(about))]
