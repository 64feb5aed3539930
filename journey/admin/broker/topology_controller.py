"""Entry point of the operator's container: creates broker passwords, applies the topology,
then watches for drift.

Environment: RABBITMQ_MANAGEMENT_URL, CREDENTIALS_DIR (one password file per user), OPERATOR_PASSWORD_FILE
(the operator's password, which services cannot read), VHOST.
"""

import asyncio
import os
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from chassis import telemetry
from chassis.messaging.envelope import OPERATOR
from journey.admin.broker.management import AdminUnavailable, BrokerAdmin
from journey.admin.private_files import write_private
from journey.admin.registry import shop_topology

APPLIED = Path("/tmp/topology-applied")
_WATCH_S = 10.0


def credentials(directory: Path, users: list[str]) -> dict[str, str]:
    """Each user's password; created once, then kept.

    `service_token` is one more secret in the same directory.
    """
    for name in (*users, "service_token"):
        if not (directory / name).exists():
            write_private(directory / name, secrets.token_urlsafe(24))
    return {name: (directory / name).read_text() for name in users}


async def main() -> None:
    telemetry.configure(os.environ.get("LOG_LEVEL", "info"), pretty=False)
    url, vhost = os.environ["RABBITMQ_MANAGEMENT_URL"], os.environ.get("VHOST", "journey")
    topology = shop_topology()
    users = [user.name for user in topology.users if user.name != OPERATOR]
    passwords = credentials(Path(os.environ["CREDENTIALS_DIR"]), users)
    write_private(Path(os.environ["OPERATOR_PASSWORD_FILE"]), unquote(urlsplit(url).password or ""))
    async with BrokerAdmin(url) as admin:
        while True:
            try:
                if not APPLIED.exists():
                    await admin.apply(topology, vhost, passwords)
                    APPLIED.touch()
                    telemetry.log.info("topology applied", vhost=vhost)
                for drift in await admin.plan(topology, vhost):
                    telemetry.log.error("the broker has drifted; run `journey topology apply`", drift=drift)
            except AdminUnavailable as error:
                telemetry.log.warning("waiting for the broker", error=str(error))
                await asyncio.sleep(1)
                continue
            await asyncio.sleep(_WATCH_S)


if __name__ == "__main__":
    asyncio.run(main())
