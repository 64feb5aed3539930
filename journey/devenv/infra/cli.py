"""`python -m journey.infra start | stop | status`: broker, database and mailbox without the shop."""

import argparse
import asyncio
import dataclasses
import json
import sys
from pathlib import Path

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra.model import masked
from journey.devenv.infra.processes import Processes
from journey.devenv.infra.resolve import obtain, recorded_in, release, responds

EPILOG = """\
Sources, in this order:
  1. RABBITMQ_URL, RABBITMQ_MANAGEMENT_URL and MONGO_URL (all three, with an administrator's credentials),
     and SMTP_URL with MAILBOX_URL if mail should not go to a local mailbox;
  2. processes on this machine, on free loopback ports, with their data in the state directory.
JOURNEY_INFRA=environment or JOURNEY_INFRA=local allows only that source.
`stop` stops only what `start` started. To reset, stop and delete the state directory.
"""


def main() -> int:
    options = _parser().parse_args()
    try:
        return asyncio.run(COMMANDS[options.command](options.dir, options.json))
    except InfrastructureUnavailable as error:
        print(f"error: {error.reason}\nwhat to do: {error.remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m journey.infra",
        description="Find or start a RabbitMQ, a MongoDB replica set and a mailbox.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="start | stop | status")
    for name, summary in (
        ("start", "find or start them; can be repeated"),
        ("stop", "stop what was started; the data is kept"),
        ("status", "print what is in use; exit code 1 if it does not respond"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--dir", type=Path, default=Path(".journey"), help="state directory (.journey)")
        command.add_argument(
            "--json", action="store_true", help="print JSON, with passwords in the addresses"
        )
    return parser


def _aside(text: str) -> None:
    """Progress goes to stderr, because programs read stdout."""
    print(text, file=sys.stderr, flush=True)


async def _start(state_dir: Path, as_json: bool) -> int:
    found = await obtain(state_dir, log=_aside)
    if as_json:
        print(found.to_json(), end="")
    else:
        _show({"RabbitMQ": found.amqp_url, "management": found.management_url, "MongoDB": found.mongo_url})
        _show({"SMTP": found.smtp_url, "mailbox": found.mailbox_url})
    return 0


async def _stop(state_dir: Path, as_json: bool) -> int:
    await release(state_dir, log=_aside)
    if as_json:
        print("{}")
    return 0


async def _status(state_dir: Path, as_json: bool) -> int:
    found = recorded_in(state_dir)
    processes = Processes(state_dir)
    running = {name: processes.running(name) for name in processes.recorded()}
    well = found is not None and await responds(found)
    if as_json:
        pids = {name: None if record is None else record.pid for name, record in running.items()}
        summary = {"answers": well, "pids": pids, "infrastructure": found and dataclasses.asdict(found)}
        print(json.dumps(summary, indent=2))
        return 0 if well else 1
    if found is None:
        print("nothing is in use; run `start`")
        return 1
    print(found.said + ("" if well else "\nIt does not respond; run `start` to restart what has died."))
    _show({name: "dead" if record is None else f"pid {record.pid}" for name, record in running.items()})
    _show({"RabbitMQ": found.amqp_url, "MongoDB": found.mongo_url, "mailbox": found.mailbox_url})
    return 0 if well else 1


def _show(lines: dict[str, str]) -> None:
    for name, value in lines.items():
        print(f"  {name:<12} {masked(value)}")


COMMANDS = {"start": _start, "stop": _stop, "status": _status}
