"""Chooses the broker and the database: from the environment, Docker (tests only), or local processes.

The choice is written to the state directory, so that another shell can find and stop exactly these.
"""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import write_private
from journey.admin.progress_log import Log
from journey.devenv.infra import docker, environment, local_mongo, local_rabbit, mongod, ready
from journey.devenv.infra.lock import LOCK_FILE, installing, locked
from journey.devenv.infra.mailbox_process import MAILBOX, start_mailbox
from journey.devenv.infra.model import MEMORY_URL, Infrastructure, Kind, masked
from journey.devenv.infra.processes import Processes

NOTHING_NAMED = "because the environment sets no addresses"


async def obtain(
    state_dir: Path, *, for_tests: bool = False, allow_memory: bool = False, log: Log = print
) -> Infrastructure:
    """The infrastructure in use, or the first available one. Raises InfrastructureUnavailable."""
    async with locked(state_dir):
        before = set(Processes(state_dir).recorded())
        containers_before = _container_ids(state_dir)
        try:
            taker = _Taker(state_dir, for_tests=for_tests, allow_memory=allow_memory, log=log)
            found = await _with_mailbox(await taker.take(), state_dir, log)
        except BaseException:
            await _stop_processes(state_dir, keep=before)
            if _container_ids(state_dir) != containers_before:
                await _remove_containers(state_dir)
            raise
        write_private(_state_file(state_dir), found.to_json())
        log(found.said)
        return found


async def release(state_dir: Path, log: Log = print) -> None:
    """Stop what `obtain` started and nothing else; the data is kept."""
    if not _ever_used(state_dir):
        log("nothing was running")
        return
    async with locked(state_dir):
        stopped = await _stop_processes(state_dir)
        if await _remove_containers(state_dir):
            stopped.append("containers")
        _state_file(state_dir).unlink(missing_ok=True)
        log(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def recorded_in(state_dir: Path) -> Infrastructure | None:
    """The last choice, running or not."""
    try:
        return Infrastructure.from_json(_state_file(state_dir).read_text())
    except (FileNotFoundError, ValueError):
        return None


async def responds(found: Infrastructure) -> bool:
    return found.kind == "memory" or not any((await _unavailability(found)).values())


async def require(found: Infrastructure) -> None:
    """Raises InfrastructureUnavailable with the cause if a service could not start now."""
    for name, why in (await _unavailability(found)).items():
        if why:
            raise InfrastructureUnavailable(
                f"{name} cannot be used: {why}", "`journey up` starts what is not running"
            )


async def _unavailability(found: Infrastructure) -> dict[str, str | None]:
    amqp, management, mongo = await asyncio.gather(
        ready.amqp_refuses(found.amqp_url),
        ready.management_refuses(found.management_url),
        ready.mongo_refuses(found.mongo_url),
    )
    return {"RabbitMQ": amqp, "RabbitMQ's management API": management, "MongoDB": mongo}


class _Taker:
    """One attempt to obtain an infrastructure, in the order given in the module's docstring."""

    def __init__(self, state_dir: Path, *, for_tests: bool, allow_memory: bool, log: Log) -> None:
        self.state_dir = state_dir
        self.for_tests = for_tests
        self.allow_memory = allow_memory
        self.log = log

    async def take(self) -> Infrastructure:
        asked = environment.forced_kind() or ("environment" if environment.names_any() else None)
        in_use = await self._in_use()
        if in_use is not None and asked is not None and asked != in_use.kind and in_use.kind != "environment":
            # Never stop an infrastructure that someone else may be using.
            raise InfrastructureUnavailable(
                f"the environment requires {asked} infrastructure, but {in_use.kind} is in use",
                "run `python -m journey.infra stop` first, or unset the variables that require another",
            )
        if in_use is not None and in_use.kind != "local" and asked != "environment":
            return in_use
        # Local infrastructure is always "started" again: running processes are kept, and dead ones restarted.
        kind = asked or (None if in_use is None else in_use.kind)
        return await self._ladder() if kind is None else await self._exactly(kind)

    async def _in_use(self) -> Infrastructure | None:
        """The previous choice, if it responds or a part of it is running."""
        recorded = recorded_in(self.state_dir)
        if recorded is None or recorded.kind == "memory":
            return None
        if recorded.kind == "local":
            processes = Processes(self.state_dir)
            names = [name for name in processes.recorded() if name != MAILBOX]
            return recorded if any(map(processes.running, names)) else None
        return recorded if await responds(recorded) else None

    async def _exactly(self, kind: Kind) -> Infrastructure:
        match kind:
            case "environment":
                named = environment.from_environment()
                await environment.require_responses(named)
                return named
            case "docker":
                return await self._docker(NOTHING_NAMED)
            case "local":
                return await self._local(NOTHING_NAMED)
            case "memory":
                return self._memory("because JOURNEY_INFRA=memory is set")

    async def _ladder(self) -> Infrastructure:
        reasons: list[str] = []
        if self.for_tests:
            try:
                return await self._docker(NOTHING_NAMED)
            except InfrastructureUnavailable as error:
                reasons.append(error.reason)
        try:
            return await self._local("; ".join([NOTHING_NAMED, *reasons]))
        except InfrastructureUnavailable as error:
            reasons.append(error.reason)
            if not self.allow_memory:
                raise InfrastructureUnavailable("\n".join(reasons), error.remedy) from error
        return self._memory(f"because no broker and database are available: {'; '.join(reasons)}")

    async def _docker(self, why: str) -> Infrastructure:
        if not self.for_tests:
            raise InfrastructureUnavailable(
                "containers started by this command end with it",
                "use `docker compose`, or JOURNEY_INFRA=local",
            )
        await _remove_containers(self.state_dir)
        started = await docker.start_containers(self.log)
        write_private(_containers_file(self.state_dir), json.dumps(started.ids))
        return Infrastructure(
            kind="docker",
            amqp_url=started.amqp_url,
            management_url=started.management_url,
            mongo_url=started.mongo_url,
            smtp_url="",
            mailbox_url="",
            said=f"Using {docker.rabbitmq_image()} and {docker.mongo_image()} in Docker, {why}.",
        )

    async def _local(self, why: str) -> Infrastructure:
        async with installing():  # before any process starts
            await local_rabbit.find_or_install(self.log)
            await mongod.find_or_download(self.log)
        rabbit = local_rabbit.LocalRabbit(self.state_dir, one_core=self.for_tests)
        mongo = local_mongo.LocalMongo(self.state_dir)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(rabbit.start(self.log))
                both.create_task(mongo.start(self.log))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # report one cause instead of a group
        return Infrastructure(
            kind="local",
            amqp_url=rabbit.amqp_url,
            management_url=rabbit.management_url,
            mongo_url=mongo.url,
            smtp_url="",
            mailbox_url="",
            said=f"Using a private RabbitMQ and MongoDB as processes on this machine, {why}.",
        )

    def _memory(self, why: str) -> Infrastructure:
        if not self.allow_memory:
            raise InfrastructureUnavailable(
                "JOURNEY_INFRA=memory is set, but this command needs a real broker and database",
                "unset JOURNEY_INFRA",
            )
        said = f"Running in memory, without a broker or a database, {why}."
        return Infrastructure("memory", MEMORY_URL, MEMORY_URL, MEMORY_URL, "", "", said)


async def _with_mailbox(found: Infrastructure, state_dir: Path, log: Log) -> Infrastructure:
    """Add the mailbox of the environment, or start a local one."""
    if found.mailbox_url and await ready.mailbox_responds(found.mailbox_url):
        return found
    if found.kind == "environment" and environment.names_any_mail():
        raise InfrastructureUnavailable(
            f"nothing responds at MAILBOX_URL ({masked(found.mailbox_url)})",
            "correct it, or unset SMTP_URL and MAILBOX_URL to start a mailbox",
        )
    try:
        smtp_url, mailbox_url = await start_mailbox(state_dir, log)
    except InfrastructureUnavailable:
        if found.kind != "memory":
            raise
        smtp_url = mailbox_url = MEMORY_URL
    return replace(found, smtp_url=smtp_url, mailbox_url=mailbox_url)


async def _stop_processes(state_dir: Path, *, keep: set[str] | None = None) -> list[str]:
    """Stop all at once, except the port mapper: the broker needs it until it has ended."""
    processes = Processes(state_dir)
    names = [name for name in processes.recorded() if name not in (keep or ())]
    grace_s = max(local_rabbit.STOP_GRACE_S, local_mongo.STOP_GRACE_S)

    async def stop(these: list[str]) -> list[str]:
        stopped = await asyncio.gather(*(processes.stop(name, grace_s=grace_s) for name in these))
        return [name for name, ran in zip(these, stopped, strict=True) if ran]

    last = [name for name in names if name == local_rabbit.PORT_MAPPER]
    return await stop([name for name in names if name not in last]) + await stop(last)


async def _remove_containers(state_dir: Path) -> bool:
    ids = _container_ids(state_dir)
    await docker.remove(ids)
    _containers_file(state_dir).unlink(missing_ok=True)
    return bool(ids)


def _container_ids(state_dir: Path) -> list[str]:
    try:
        return [str(each) for each in json.loads(_containers_file(state_dir).read_text())]
    except (FileNotFoundError, ValueError):
        return []


def _state_file(state_dir: Path) -> Path:
    return state_dir / "infrastructure.json"


def _ever_used(state_dir: Path) -> bool:
    return (state_dir / LOCK_FILE).exists()


def _containers_file(state_dir: Path) -> Path:
    return state_dir / "containers.json"
