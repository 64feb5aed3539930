"""Whatever is down, unresponsive or wrong: each command prints the cause and what to do,
without library messages.

A command that needs what is down ends with its own exit code. The others work.

Long because it lists every command.
"""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from journey.admin.broker.management import BrokerAdmin, derived_passwords
from journey.admin.endpoints import ShopEndpoints, record
from journey.admin.private_files import write_private
from journey.admin.registry import SERVICES, WEB_PROGRAMS, shop_topology
from journey.devenv.infra.model import Infrastructure
from tests.conformance.bus.test_broker_alarms import own_broker, short_of_disk_space
from tests.support.cli_runner import run_journey
from tests.support.infrastructure import VirtualHost

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ORDER, CUSTOMER = "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"
BACKUPS = "backups"  # in the command's own folder
COMMANDS = {
    "place": ("TEA-GREEN=1", "--customer", CUSTOMER),
    "place for a new customer": ("TEA-GREEN=1",),
    "cancel": (ORDER, "--customer", CUSTOMER),
    "dispatch": (ORDER,),
    "receive": ("TEA-GREEN", "5"),
    "correct": ("TEA-GREEN", "--by=-1", "--reason=count"),
    "attention list": (),
    "attention show": (ORDER,),
    "attention retry": (ORDER, "--by", CUSTOMER),
    "attention cancel": (ORDER, "--by", CUSTOMER),
    "attention settle": (ORDER, "--by", CUSTOMER, "--reason", "paid", "--reference", "BANK-1"),
    "refund": (ORDER, "--by", CUSTOMER, "--amount", "1.00"),
    "watch": (ORDER, "--wait-s", "1"),
    "stock": (),
    "orders": (),
    "doctor": ("--wait-s", "0"),
    "doctor --recent": ("--wait-s", "0"),
    "stuck": (),
    "stuck --all": (),
    "explain": (ORDER,),
    "trace": (ORDER,),
    "dlq list": (),
    "dlq show": ("some-id",),
    "dlq redrive": ("--service", "order_svc", "--yes"),
    "dlq drop": ("--service", "order_svc", "--reason", "x", "--yes"),
    "dlq audit": (),
    "journal": (),
    "replay": (),
    "replay --check": (),
    "backfill": ("order_svc", "--since", "1h"),
    "backup": ("--to", BACKUPS),
    "restore": ("order_svc", "--from", BACKUPS),
    "republish": ("--since", "1h"),
    **dict.fromkeys(("topology plan", "topology apply", "database plan", "database apply"), ()),
    "staff grant": (CUSTOMER,),
    "staff revoke": (CUSTOMER,),
    "client add": ("some-program",),
    "client list": (),
    "client remove": ("some-program",),
    "seed": (),
    "up": (),
    "demo": (),
    "bench": ("--orders", "100"),
    "scale": ("order_svc=2",),
}
STARTING = {"up", "demo", "bench", "seed", "scale"}
OF_SERVICES = {"watch", "stock", "doctor", "doctor --recent", "stuck", "stuck --all", "explain", "trace"}
OF_SERVICES |= {"place for a new customer", "orders", "refund"}
OF_SERVICES |= {name for name in COMMANDS if name.startswith("attention ")}
OF_DATABASE = {"database plan", "database apply", "backup", "republish"}
ONLY_BROKER = COMMANDS.keys() - OF_SERVICES - STARTING - OF_DATABASE - {"replay --check"}
LIBRARY = re.compile(
    r"Traceback|\b(?:httpx|aiormq|aio_pika|pymongo|motor|pamqp|asyncio)\b|\b[A-Z]\w*(?:Error|Exception|Timeout)\b"
    r"|\[Errno|developer\.mozilla|For more information"
)


@dataclass(frozen=True)
class Surroundings:
    """What a command finds: addresses of a broker, of services, and of a database."""

    amqp: str
    management: str
    services: str
    vhost: str = "journey"
    mongo: str = "mongodb://127.0.0.1:1/?replicaSet=rs0&serverSelectionTimeoutMS=500"
    passwords: tuple[tuple[str, str], ...] = ()

    def write(self, home: Path) -> dict[str, str]:
        """Write the files that `journey up` writes;
        returns the environment variables with the same addresses.
        """
        topology = shop_topology()
        passwords = derived_passwords(topology, self.management) | dict(self.passwords)
        ui = re.sub(r"//.*@", "//", self.management)
        http = dict.fromkeys((*SERVICES, *WEB_PROGRAMS), self.services)
        record(home, ShopEndpoints("environment", self.vhost, self.amqp, passwords, http, ui, self.services))
        infrastructure = Infrastructure(
            "environment", self.amqp, self.management, self.mongo, "", "", "as told"
        )
        write_private(home / "infrastructure.json", infrastructure.to_json())
        names = {
            "RABBITMQ_URL": self.amqp,
            "RABBITMQ_MANAGEMENT_URL": self.management,
            "MONGO_URL": self.mongo,
        }
        return {"JOURNEY_INFRA": "environment", **names}


async def printed_by_all(
    home: Path, found: Surroundings, commands: Iterator[str]
) -> dict[str, CompletedProcess[str]]:
    slots = asyncio.Semaphore(6)

    async def run(command: str, number: int) -> CompletedProcess[str]:
        here = home / str(number)
        here.mkdir(parents=True)
        environment = found.write(here)
        async with slots:
            parts = [
                argument for argument in command.split() if argument not in ("for", "a", "new", "customer")
            ]
            arguments = [str(here / BACKUPS) if each == BACKUPS else each for each in COMMANDS[command]]
            return await asyncio.to_thread(run_journey, here, *parts, *arguments, **environment)

    names = sorted(commands)
    ended = await asyncio.gather(*(run(name, number) for number, name in enumerate(names)))
    return dict(zip(names, ended, strict=True))


def faults(ended: dict[str, CompletedProcess[str]], cause: str) -> Iterator[str]:
    """One sentence for each command without the expected output."""
    for command, each in ended.items():
        output = each.stdout + each.stderr
        shown = f"{command} ({each.returncode}):\n{output[-900:]}"
        if each.returncode not in (1, 3):
            yield f"ends with {each.returncode}: {shown}"
        if found := LIBRARY.search(output):
            yield f"a library's message, {found[0]}: {shown}"
        if not re.search(cause, output):
            yield f"no cause like {cause}: {shown}"
        if "what to do" not in output:
            yield f"no remedy: {shown}"


async def assert_each_prints(
    home: Path, found: Surroundings, commands: Iterator[str] | set[str], cause: str
) -> None:
    wrong = list(faults(await printed_by_all(home, found, iter(commands)), cause))
    assert not wrong, f"\n{'=' * 60}\n".join(wrong)


@contextmanager
def silent() -> Iterator[int]:
    """A port that accepts connections and never responds, as a stopped process (SIGSTOP) does."""
    with socket.create_server(("127.0.0.1", 0), backlog=500) as server:
        yield server.getsockname()[1]


@contextmanager
def responding(status: int, **problem: str) -> Iterator[str]:
    """A service that gives every request the same response."""
    body = json.dumps({"status": status, **problem}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/problem+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Do not log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def all_at(port: int) -> Surroundings:
    mongo = f"mongodb://127.0.0.1:{port}/?replicaSet=rs0&serverSelectionTimeoutMS=500"
    operator = f"operator:secret@127.0.0.1:{port}"
    return Surroundings(f"amqp://{operator}", f"http://{operator}", f"http://127.0.0.1:{port}", mongo=mongo)


async def test_every_command_reports_that_nothing_listens(tmp_path: Path) -> None:
    cause = "nothing listens there|does not (answer|respond)|no broker responds|nothing responds|no response"
    await assert_each_prints(tmp_path, all_at(1), set(COMMANDS), cause)


async def test_every_command_reports_that_nothing_responds(tmp_path: Path) -> None:
    with silent() as port:
        cause = (
            "in time|(no answer|no response) (with)?in|does not (answer|respond)|(nothing|no broker) responds"
        )
        await assert_each_prints(tmp_path, all_at(port), set(COMMANDS), cause)


@pytest.mark.real
async def test_commands_report_stopped_services_beside_a_working_broker(
    tmp_path: Path, vhost: VirtualHost
) -> None:
    """As by SIGSTOP: connections are accepted, but requests get no response."""
    with silent() as port:
        found = replace(at(vhost), services=f"http://127.0.0.1:{port}")
        await assert_each_prints(
            tmp_path, found, OF_SERVICES | {"replay --check"}, "in time|does not (answer|respond)"
        )


async def test_commands_report_an_unavailable_database(tmp_path: Path) -> None:
    """The services report it. (The broker is down too: commands that use it first name the broker.)"""
    detail = "MongoDB does not answer, or has no primary; try again"
    with responding(503, title="The database does not answer", detail=detail) as services:
        found = replace(all_at(1), services=services)
        await assert_each_prints(tmp_path, found, OF_SERVICES - {"doctor", "doctor --recent"}, "MongoDB")


async def test_commands_report_a_full_database(tmp_path: Path) -> None:
    with responding(
        503, title="The database does not answer", detail="the disk of MongoDB is full"
    ) as services:
        await assert_each_prints(
            tmp_path, replace(all_at(1), services=services), {"stock"}, "disk of MongoDB is full"
        )


async def test_commands_report_invalid_responses_of_a_service(tmp_path: Path) -> None:
    with responding(502) as services:
        await assert_each_prints(
            tmp_path, replace(all_at(1), services=services), {"stock"}, "responded with 502"
        )


def at(vhost: VirtualHost) -> Surroundings:
    return Surroundings(vhost.amqp_url, vhost.management_url, "http://127.0.0.1:1", vhost=vhost.name)


@pytest.mark.real
async def test_commands_report_a_wrong_password(tmp_path: Path, vhost: VirtualHost) -> None:
    wrong = "operator:wrong"
    found = at(vhost)
    found = replace(
        found,
        amqp=re.sub(r"//.*@", f"//{wrong}@", found.amqp),
        management=re.sub(r"//.*@", f"//{wrong}@", found.management),
    )
    cause = "refuses the user or the password|is not authorized|the user or the password is wrong"
    await assert_each_prints(tmp_path, found, ONLY_BROKER | {"up"}, cause)


@pytest.mark.real
async def test_missing_virtual_host_topology_and_disk_space_are_reported(
    tmp_path: Path,
) -> None:
    """One after the other, on a broker of its own."""
    topology = shop_topology()
    async with own_broker(tmp_path / "broker") as broker:
        found = Surroundings(broker.amqp_url, broker.management_url, "http://127.0.0.1:1")
        passwords = derived_passwords(topology, broker.management_url)
        async with BrokerAdmin(broker.management_url) as admin:
            await admin.apply(topology, "another", passwords)  # so that the users exist
            missing = (
                "no such virtual host|virtual host .* is missing|virtual host, or the object|has no queues"
            )
            await assert_each_prints(
                tmp_path / "1", found, ONLY_BROKER - {"topology apply", "client list"}, missing
            )

            await admin.apply(topology, "journey", passwords)
            for queue in await admin.depths("journey"):
                await admin.delete_queue("journey", queue)
            missing = "no queue|queue .* is missing|no journal|audit log is missing|has no queues"
            without = {"topology apply", "dlq show", "client add", "client list", "client remove", "restore"}
            await assert_each_prints(tmp_path / "2", found, ONLY_BROKER - without, missing)

            await admin.apply(topology, "journey", passwords)
            detail = "MongoDB does not answer, or has no primary; try again"
            with responding(503, title="The database does not answer", detail=detail) as services:
                asking = {"doctor", "doctor --recent", "replay --check", "seed", "stuck", "explain", "trace"}
                await assert_each_prints(tmp_path / "5", replace(found, services=services), asking, "MongoDB")

            await short_of_disk_space(broker, short=True)
            sending = {"place", "cancel", "dispatch", "receive", "correct", "staff grant", "seed"}
            await assert_each_prints(tmp_path / "3", found, sending, "takes no messages.*disk")
            await assert_each_prints(
                tmp_path / "4", found, {"explain", "stuck", "trace"}, "publishers are blocked.*disk space"
            )
