"""A private MongoDB replica set on loopback, without Docker: one node, or three with failover.

Clients must log in. The members authenticate to each other with a key file, and the first user is created
through the localhost exception (manual: "Localhost Exception in Self-Managed Deployments").
"""

import json
import secrets
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import private_dir, write_private
from journey.admin.progress_log import Log
from journey.devenv.infra import mongod, ready
from journey.devenv.infra.ports import free_ports, is_free
from journey.devenv.infra.processes import Processes

REPLICA_SET = "rs0"
USER = "admin"
START_TIMEOUT_S = 60.0
STOP_GRACE_S = 30.0
# The server's codes: the set exists, the user exists, and a command needs a login.
_ALREADY_INITIALIZED, _USER_EXISTS, _UNAUTHORIZED = 23, 51003, 13


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
        """With the credentials of an administrator."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{USER}:{self._kept()['password']}@{hosts}/?replicaSet={REPLICA_SET}"

    def alive(self) -> bool:
        """Whether every node is running."""
        return all(self.processes.running(_name(node)) is not None for node in self._all())

    async def start(self, log: Log = print) -> None:
        """Find or download mongod, start the nodes that are not running,
        and return when there is a primary.
        """
        if self.alive():
            self._keep()  # a version without passwords may have started it
        else:
            program = await mongod.find_or_download(log)
            self._settle_ports()
            write_private(self.dir / "key", self._kept()["key"])
            log("starting MongoDB")
            for node, port in zip(self._all(), self.ports, strict=True):
                self._start_node(program, node, port)
        for node, port in zip(self._all(), self.ports, strict=True):
            await self._wait_for_node(node, port)
        for ready_when in (self._joined, self._has_user, self._has_primary):
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
            hello = await self._ask(port, "hello")
            if hello is not None and hello.get("isWritablePrimary"):
                return node
        return None

    def _all(self) -> range:
        return range(1, self.nodes + 1)

    def _settle_ports(self) -> None:
        """Keep the ports of the last start, except those that another program has taken since."""
        try:
            ports = self.ports
        except FileNotFoundError:
            ports = free_ports(self.nodes)
        for index, port in enumerate(ports):
            if self.processes.running(_name(index + 1)) is None and not is_free(port):
                ports[index] = free_ports(1)[0]
        self._keep(ports=ports)

    def _start_node(self, program: Path, node: int, port: int) -> None:
        data = private_dir(self.dir / f"data{node}")
        command: list[str | Path] = [program, "--replSet", REPLICA_SET, "--dbpath", data]
        command += ["--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"]
        command += ["--keyFile", self.dir / "key"]  # clients must log in, too
        command += ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256"]
        command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        # On SIGTERM a primary waits up to 15 s for a secondary to take over; a single node has none.
        command += ["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=500"]
        # A killed service's documents stay locked until its transaction expires; by default after a minute.
        command += ["--setParameter", "transactionLifetimeLimitSeconds=10"]
        command += self._options()
        self.processes.start(_name(node), command, log=self.dir / f"mongod{node}.log", cwd=self.dir)

    def _options(self) -> list[str | Path]:
        """Further options of mongod."""
        return []

    async def _wait_for_node(self, node: int, port: int) -> None:
        async def responds() -> bool:
            return await self._ask(port, "ping") is not None

        await self.processes.wait_until_ready(_name(node), responds, timeout_s=START_TIMEOUT_S)

    async def _has_primary(self) -> bool:
        return await ready.mongo_refuses(self.url, limit_s=1.0) is None

    async def _joined(self) -> bool:
        """Initiate the replica set; after a change of ports, reconfigure the addresses of its members."""
        hosts = [f"127.0.0.1:{port}" for port in self.ports]
        if not self._kept()["has_user"]:
            return await self._initiated(hosts)
        async with self._client(self.ports[0], login=True) as client:
            try:
                config = (await client.admin.command("replSetGetConfig"))["config"]
                if [member["host"] for member in config["members"]] == hosts:
                    return True
                for member, host in zip(config["members"], hosts, strict=True):
                    member["host"] = host
                config["version"] += 1
                await client.admin.command("replSetReconfig", config, force=True)
            except PyMongoError:
                return False  # another change is in progress, or the node is starting
            return True

    async def _initiated(self, hosts: list[str]) -> bool:
        """Possible without a login while there is no user."""
        async with self._client(self.ports[0]) as client:
            try:
                await client.admin.command("replSetInitiate", _new_config(hosts))
            except OperationFailure as error:
                return error.code == _ALREADY_INITIALIZED
            except PyMongoError:
                return False
            return True

    async def _has_user(self) -> bool:
        """Create the administrator, which no client can do without a login once a user exists."""
        if self._kept()["has_user"]:
            return True
        primary = await self.primary()
        if primary is None:
            return False
        async with self._client(self.ports[primary - 1]) as client:
            try:
                await client.admin.command(
                    "createUser",
                    USER,
                    pwd=self._kept()["password"],
                    roles=["root"],
                    mechanisms=["SCRAM-SHA-256"],
                    writeConcern={"w": "majority"},
                )
            except OperationFailure as error:
                if error.code not in (_USER_EXISTS, _UNAUTHORIZED):
                    return False
            except PyMongoError:
                return False
        self._keep(has_user=True)
        return True

    def _client(self, port: int, *, login: bool = False) -> AsyncMongoClient[dict[str, Any]]:
        """A direct connection to one node, whatever its state in the replica set."""
        credentials = {"username": USER, "password": self._kept()["password"]} if login else {}
        return AsyncMongoClient(
            "127.0.0.1",
            port,
            directConnection=True,
            serverSelectionTimeoutMS=1000,
            socketTimeoutMS=20_000,
            **credentials,
        )

    async def _ask(self, port: int, command: str) -> dict[str, Any] | None:
        """The response to a command that needs no login."""
        async with self._client(port) as client:
            try:
                return await client.admin.command(command)
            except PyMongoError:
                return None

    def _kept(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads((self.dir / "settings.json").read_text())
        return kept

    def _keep(self, **changes: Any) -> None:
        """Keep settings with the data; the first time also a password and a key.

        `has_user`: whether the administrator was created. A version without passwords kept neither.
        """
        kept = {"password": secrets.token_hex(16), "key": secrets.token_hex(32), "has_user": False}
        if (self.dir / "settings.json").exists():
            kept |= self._kept()
        write_private(self.dir / "settings.json", json.dumps(kept | changes) + "\n")


def _name(node: int) -> str:
    return f"mongo{node}"


def _new_config(hosts: list[str]) -> dict[str, Any]:
    members = [{"_id": index, "host": host} for index, host in enumerate(hosts)]
    # With the default of 10 s, writes would stop for that long after the death of a primary.
    return {"_id": REPLICA_SET, "members": members, "settings": {"electionTimeoutMillis": 2000}}
