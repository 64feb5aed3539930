"""A private RabbitMQ on loopback, without Docker: its own node name, ports, cookie and directories.

It shares nothing with a broker that the machine may already run. Its data stays in the state directory, so it
can be stopped, killed and started again.
"""

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from chassis.messaging.envelope import BODY_BYTES_MAX
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import private_dir, write_private
from journey.admin.progress_log import Log
from journey.devenv.infra import ready
from journey.devenv.infra.commands import apt_install, run
from journey.devenv.infra.ports import free_ports, is_free
from journey.devenv.infra.processes import Processes

USER = "operator"
NODE = "journey@localhost"
BROKER, PORT_MAPPER = "rabbit", "rabbit-epmd"
START_TIMEOUT_S = 90.0
STOP_GRACE_S = 40.0

# The plain scripts come before PATH: Debian's /usr/sbin/rabbitmq-server requires the system's user,
# directories and log, so it cannot run a second broker.
SCRIPT_DIRS = (
    Path("/usr/lib/rabbitmq/bin"),
    Path("/opt/homebrew/opt/rabbitmq/sbin"),
    Path("/usr/local/opt/rabbitmq/sbin"),
)
REMEDY = (
    "install RabbitMQ 3.10 or newer (apt-get install rabbitmq-server, brew install rabbitmq), start Docker, "
    "or set RABBITMQ_URL and RABBITMQ_MANAGEMENT_URL"
)

# The last one distributes messages to partitions (chassis/bus/partitioning.py).
PLUGINS = "[rabbitmq_management,rabbitmq_prometheus,rabbitmq_consistent_hash_exchange].\n"
CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{amqp_port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {metrics_port}
default_user = {user}
default_pass = {password}
disk_free_limit.absolute = 200MB
vm_memory_high_watermark.absolute = 1GB
log.file.level = info
log.file.rotation.size = 10485760
log.file.rotation.count = 2
"""
# Idle Erlang schedulers otherwise spin, and take CPU time from other processes on a small machine.
QUIET_ERLANG = "+sbwt none +sbwtdcpu none +sbwtdio none"
# For tests, which keep all cores busy: schedulers that hand small pieces of work to each other cost more than
# they gain there (25 % for creating a virtual host with all queues).
ONE_CORE_ERLANG = "+S 1:1"
LOOPBACK_ERLANG = "-kernel inet_dist_use_interface {127,0,0,1}"
# The default is every five seconds; a shop of this size can afford fresher statistics.
COUNTING_ERLANG = "-rabbit collect_statistics_interval 1000 -rabbit quorum_tick_interval 1000"
# No service handles a longer body, so the broker rejects it at once.
LIMITING_ERLANG = f"-rabbit max_message_size {BODY_BYTES_MAX}"


@dataclass(frozen=True)
class RabbitSettings:
    """Chosen at the first start and kept with the data,
    so that clients find the broker at the same address.
    """

    password: str
    cookie: str
    amqp_port: int
    management_port: int
    metrics_port: int
    distribution_port: int
    port_mapper_port: int


class LocalRabbit:
    def __init__(self, state_dir: Path, *, one_core: bool = False) -> None:
        self.dir = state_dir.absolute() / "rabbit"
        self.processes = Processes(state_dir)
        self._cores = ONE_CORE_ERLANG if one_core else ""

    @property
    def settings(self) -> RabbitSettings:
        """Raises FileNotFoundError before the first start."""
        return RabbitSettings(**json.loads((self.dir / "settings.json").read_text()))

    @property
    def amqp_url(self) -> str:
        kept = self.settings
        return f"amqp://{USER}:{kept.password}@127.0.0.1:{kept.amqp_port}"

    @property
    def management_url(self) -> str:
        kept = self.settings
        return f"http://{USER}:{kept.password}@127.0.0.1:{kept.management_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.metrics_port}/metrics"

    def alive(self) -> bool:
        return self.processes.running(BROKER) is not None

    async def start(self, log: Log = print) -> None:
        """Install what is missing, start what is not running, and return when a login succeeds."""
        if not self.alive():
            server = await find_or_install(log)
            self._settle_ports()
            self._write_files()
            self._start_port_mapper()
            log("starting RabbitMQ")
            self.processes.start(
                BROKER, [server], log=self.dir / "log" / "console.log", env=self._environment(), cwd=self.dir
            )
        await self.processes.wait_until_ready(BROKER, self._ready, timeout_s=START_TIMEOUT_S)

    async def stop(self) -> bool:
        stopped = await self.processes.stop(BROKER, grace_s=STOP_GRACE_S)
        return await self.processes.stop(PORT_MAPPER, grace_s=5.0) or stopped

    async def kill(self) -> bool:
        """SIGKILL, as in a power cut; `start` restarts it with its data."""
        return await self.processes.kill(BROKER)

    async def ctl(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """Output of `rabbitmqctl`. Raises RuntimeError if it fails."""
        server = find_server()
        if server is None:
            raise InfrastructureUnavailable("rabbitmqctl was not found", REMEDY)
        command = [str(server.with_name("rabbitmqctl")), "-q", *arguments]
        code, output = await run(command, timeout_s=timeout_s, env=self._environment())
        if code != 0:
            raise RuntimeError(f"rabbitmqctl {arguments[0]} failed ({code}):\n{output}")
        return output

    async def _ready(self) -> bool:
        # The management plugin starts before the listener, but responds only when both are up.
        kept = self.settings
        return (
            await ready.amqp_listens("127.0.0.1", kept.amqp_port)
            and await ready.management_refuses(self.management_url) is None
        )

    def _settle_ports(self) -> None:
        """Keep the ports of the last start, except those that another program has taken since."""
        try:
            kept = self.settings
        except FileNotFoundError:
            kept = RabbitSettings(secrets.token_hex(16), secrets.token_hex(16), *free_ports(5))
        mapper_runs = self.processes.running(PORT_MAPPER) is not None
        ports = {name: value for name, value in asdict(kept).items() if name.endswith("_port")}
        for name, port in ports.items():
            if not is_free(port) and not (mapper_runs and name == "port_mapper_port"):
                ports[name] = free_ports(1)[0]
        settled = RabbitSettings(kept.password, kept.cookie, **ports)
        write_private(self.dir / "settings.json", json.dumps(asdict(settled)) + "\n")

    def _write_files(self) -> None:
        for name in ("log", "data", "generated", "conf.d"):
            private_dir(self.dir / name)
        kept = self.settings
        write_private(self.dir / "rabbitmq.conf", self._config())
        write_private(self.dir / "enabled_plugins", PLUGINS)
        cookie = self.dir / ".erlang.cookie"
        write_private(cookie, kept.cookie)
        cookie.chmod(0o400)  # Erlang refuses to start if other users can read it

    def _config(self) -> str:
        return CONFIG.format(user=USER, **asdict(self.settings))

    def _start_port_mapper(self) -> None:
        """Erlang would start a detached epmd that runs forever; this one can be stopped."""
        self.processes.start(
            PORT_MAPPER,
            [_find_epmd(), "-port", str(self.settings.port_mapper_port), "-address", "127.0.0.1"],
            log=self.dir / "log" / "epmd.log",
            env=self._environment(),
            cwd=self.dir,
        )

    def _environment(self) -> dict[str, str]:
        """Drop all settings that are meant for another broker on this machine."""
        foreign = ("RABBITMQ_", "ERL_", "ELIXIR_ERL_", "NOTIFY_SOCKET")
        env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        kept, here = self.settings, self.dir
        return env | {
            "HOME": str(here),  # the cookie is looked up there
            "ERL_CRASH_DUMP": str(here / "log" / "erl_crash.dump"),
            "ERL_EPMD_PORT": str(kept.port_mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_DIST_PORT": str(kept.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(here / "data"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_PID_FILE": str(here / "rabbit.pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(here / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(
                (LOOPBACK_ERLANG, QUIET_ERLANG, COUNTING_ERLANG, LIMITING_ERLANG, self._cores)
            ),
            "RABBITMQ_CTL_ERL_ARGS": f"{LOOPBACK_ERLANG} {QUIET_ERLANG}",
            # The start script then execs the broker, so the recorded pid is the broker's.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


def find_server() -> Path | None:
    for directory in SCRIPT_DIRS:
        if os.access(directory / "rabbitmq-server", os.X_OK):
            return directory / "rabbitmq-server"
    found = shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin")
    return None if found is None else Path(found)


async def find_or_install(log: Log) -> Path:
    server = find_server()
    if server is None:
        await apt_install("rabbitmq-server", log=log, otherwise=REMEDY)
        server = find_server()
    if server is None:
        raise InfrastructureUnavailable("rabbitmq-server was installed, but cannot be found", REMEDY)
    return server


def _find_epmd() -> Path:
    on_path = shutil.which("epmd")
    if on_path is not None:
        return Path(on_path)
    found = sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
    found += sorted(Path("/usr/local/lib/erlang").glob("erts-*/bin/epmd"))
    if not found:
        raise InfrastructureUnavailable("Erlang's port mapper (epmd) was not found", REMEDY)
    return found[-1]
