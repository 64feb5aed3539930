"""`python -m journey.admin.broker plan | apply`: for containers and for jobs in Kubernetes.

`plan` prints where the broker differs from the topology and exits with 1 if it does; `apply` creates what is
missing and sets the users' passwords. Both can be repeated. Settings, as environment variables:

- `RABBITMQ_MANAGEMENT_URL` names the administrator, `RABBITMQ_ADMIN_PASSWORD_FILE` its password.
- `CREDENTIALS_DIR` holds the password of each user in a file of that name.
- `VHOST` is by default `journey`.
- `PARTITIONS`: queues per service in place of one, as for the services (docs/scaling.md).
- `BROKER_NODES`: `apply` fails while fewer nodes run, because a new queue gets its replicas on running nodes.
"""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chassis.bus.topology_model import Topology
from journey.admin.administrator_url import administrator_url, password_from
from journey.admin.broker.management import AdminUnavailable, BrokerAdmin
from journey.admin.broker.topology_file import stored_topology
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.partitions import with_partitions
from journey.admin.plan_or_apply import plan_or_apply

_VARIABLES = ("RABBITMQ_MANAGEMENT_URL", "RABBITMQ_ADMIN_PASSWORD_FILE")


@dataclass(frozen=True)
class BrokerTarget:
    """`management_url`: with the administrator's credentials. `passwords`: by user. `nodes`: must run."""

    management_url: str = field(repr=False)
    vhost: str
    topology: Topology
    passwords: dict[str, str] = field(repr=False)
    nodes: int = 1

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[BrokerAdmin]:
        try:
            async with BrokerAdmin(self.management_url) as admin:
                yield admin
        except AdminUnavailable as error:
            raise InfrastructureUnavailable(error.reason, error.remedy) from error

    async def apply(self) -> None:
        """Raises InfrastructureUnavailable."""
        async with self._admin() as admin:
            nodes = await admin.ask("GET", "nodes", params={"columns": "running"})
            running = sum(node["running"] for node in nodes)
            if running < self.nodes:
                raise AdminUnavailable(
                    f"{running} of {self.nodes} nodes run", "wait for the others, then try again"
                )
            await admin.apply(self.topology, self.vhost, self.passwords)

    async def plan(self) -> list[str]:
        """Raises InfrastructureUnavailable."""
        async with self._admin() as admin:
            return await admin.plan(self.topology, self.vhost)


def target_from(environ: Mapping[str, str] = os.environ) -> BrokerTarget:
    """Raises InfrastructureUnavailable with the name of a variable or file that is missing or wrong."""
    missing = [name for name in ("RABBITMQ_MANAGEMENT_URL", "CREDENTIALS_DIR") if not environ.get(name)]
    if missing:
        raise InfrastructureUnavailable(f"{' and '.join(missing)} not set", "see docs/kubernetes.md")
    url = administrator_url(environ, *_VARIABLES, schemes=("http", "https"))
    topology = with_partitions(stored_topology(), environ.get("PARTITIONS", ""))
    folder = Path(environ["CREDENTIALS_DIR"])
    passwords = {user: password_from("CREDENTIALS_DIR", folder / user) for user in topology.program_users}
    nodes = environ.get("BROKER_NODES", "1")
    if not nodes.isdecimal():
        raise InfrastructureUnavailable("BROKER_NODES is not a number", "set it to the number of nodes")
    vhost = environ.get("VHOST", "journey")
    return BrokerTarget(url, vhost, topology, passwords, nodes=int(nodes))


def main(arguments: list[str]) -> int:
    return plan_or_apply(arguments, target_from, usage=__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
