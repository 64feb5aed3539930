"""Entry point of the operator's container: creates the users of broker and database, applies the topology,
then watches both for drift. It reads topology and users from files, so that its image contains no code of the
services.

Environment:

- `RABBITMQ_MANAGEMENT_URL` names the administrator of the broker, and `OPERATOR_PASSWORD_FILE` its password,
  which services cannot read.
- `CREDENTIALS_DIR`: one password file per user, and the service token; missing files are created.
- `SERVICE_CREDENTIALS_DIR`: a folder per service, to which its own files are copied; for a volume of each.
- `VHOST`; and for the database those of journey/admin/database/target.py, without which it is left alone.

The files are read on each round, because they are replaced while this program runs.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from chassis import telemetry
from chassis.connection_urls import password_of
from journey.admin.administrator_url import administrator_url
from journey.admin.broker.management import AdminUnavailable, BrokerAdmin
from journey.admin.broker.topology_file import stored_topology
from journey.admin.database.target import target_from
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.partitions import with_partitions
from journey.admin.password_files import distribute, existing_or_new
from journey.admin.private_files import write_private

APPLIED = Path("/tmp/topology-applied")
_CHECK_S = 10.0
_SERVICE_TOKEN = "service_token"
_VARIABLES = ("RABBITMQ_MANAGEMENT_URL", "OPERATOR_PASSWORD_FILE")


def management_url(environ: Mapping[str, str] = os.environ) -> str:
    """With the password of the file, or with its own. Raises InfrastructureUnavailable."""
    return administrator_url(environ, *_VARIABLES, schemes=("http", "https"))


def keep_password_of_url(environ: Mapping[str, str] = os.environ) -> None:
    """If the URL has a password, write it to the file, for the staff pages."""
    if password := password_of(environ.get("RABBITMQ_MANAGEMENT_URL", "")):
        write_private(Path(environ["OPERATOR_PASSWORD_FILE"]), password)


async def main() -> None:
    telemetry.configure(os.environ.get("LOG_LEVEL", "info"), pretty=False)
    keep_password_of_url()
    async with BrokerAdmin(management_url) as admin:
        while True:
            try:
                await one_round(admin)
            except (AdminUnavailable, InfrastructureUnavailable) as error:
                telemetry.log.warning("waiting for broker and database", error=str(error))
                await asyncio.sleep(1)
                continue
            await asyncio.sleep(_CHECK_S)


async def one_round(admin: BrokerAdmin, environ: Mapping[str, str] = os.environ) -> None:
    """Copy the passwords to the services, apply everything on the first round, and report drift.

    Raises AdminUnavailable or InfrastructureUnavailable.
    """
    vhost, topology = environ.get("VHOST", "journey"), with_partitions(stored_topology())
    directory = Path(environ["CREDENTIALS_DIR"])
    passwords = existing_or_new(directory, (*topology.program_users, _SERVICE_TOKEN))
    del passwords[_SERVICE_TOKEN]  # one more secret in the same directory
    database = target_from(environ) if "MONGO_ADMIN_URL" in environ else None
    if folders := environ.get("SERVICE_CREDENTIALS_DIR"):
        distribute(directory, Path(folders))
    if not APPLIED.exists():
        await admin.apply(topology, vhost, passwords)
        if database is not None:
            await database.apply()
        APPLIED.touch()
        telemetry.log.info("topology applied", vhost=vhost)
    for drift in await admin.plan(topology, vhost):
        telemetry.log.error("the broker has drifted; run `journey topology apply`", drift=drift)
    for drift in [] if database is None else await database.plan():
        telemetry.log.error("the database has drifted; run `journey database apply`", drift=drift)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except InfrastructureUnavailable as error:
        sys.exit(f"error: {error.reason}\nwhat to do: {error.remedy}")
