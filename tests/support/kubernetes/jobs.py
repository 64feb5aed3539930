"""What depends on the list of users: the Jobs for broker and database, and MongoDB's users."""

from chassis.messaging.envelope import OPERATOR
from journey.admin.registry import shop_database_users, shop_topology
from tests.support.kubernetes import names
from tests.support.kubernetes.programs import compose, dns_name
from tests.support.kubernetes.workload import Manifest

DATABASE_ADMIN = "admin"
_ADMIN_FILE = "/admin/password"


def topology(version: str) -> Manifest:
    """Creates the queues and the broker's users, with the passwords from their Secrets."""
    users = shop_topology().program_users
    environment = {
        "RABBITMQ_MANAGEMENT_URL": f"https://{OPERATOR}@{names.BROKER_HOST}:{names.MANAGEMENT_PORT}",
        "RABBITMQ_ADMIN_PASSWORD_FILE": _ADMIN_FILE,
        "CREDENTIALS_DIR": names.CREDENTIALS,
        "VHOST": names.VHOST,
        "BROKER_NODES": "3",
    }
    secrets = {user: (names.broker_secret(dns_name(user)), "password") for user in users}
    return _job(
        "topology",
        _container(
            version, ["-m", "journey.admin.broker", "apply"], environment=environment, shared=("PARTITIONS",)
        ),
        labels={names.BROKER_LABEL: "administrator"},
        secrets=secrets,
        admin=names.broker_secret(OPERATOR),
    )


def database(version: str) -> Manifest:
    """Fails as long as a user of MongoDB lacks a role or has too many: the operator creates them."""
    environment = {
        "MONGO_ADMIN_URL": (
            f"mongodb+srv://{DATABASE_ADMIN}@{names.DATABASE_HOST}/?replicaSet=mongo&tls=true"
            f"&tlsCAFile={names.CA_FILE}"
        ),
        "MONGO_ADMIN_PASSWORD_FILE": _ADMIN_FILE,
        "CREDENTIALS_DIR": names.CREDENTIALS,
    }
    users = [user.name for user in shop_database_users()]
    return _job(
        "database",
        _container(version, ["-m", "journey.admin.database", "plan"], environment=environment),
        labels={names.DATABASE_LABEL: "client"},
        secrets={f"mongo_{user}": (names.database_secret(dns_name(user)), "password") for user in users},
        admin=names.database_secret(DATABASE_ADMIN),
    )


def mongodb_users() -> Manifest:
    """A patch for base/mongodb.yaml."""
    roles = {DATABASE_ADMIN: [("userAdminAnyDatabase", "admin")]}
    roles |= {user.name: sorted(user.roles) for user in shop_database_users()}
    return {
        "apiVersion": "mongodbcommunity.mongodb.com/v1",
        "kind": "MongoDBCommunity",
        "metadata": {"name": "mongo"},
        "spec": {
            "users": [
                {
                    "name": user,
                    "db": "admin",
                    "passwordSecretRef": {"name": names.database_secret(dns_name(user)), "key": "password"},
                    "scramCredentialsSecretName": dns_name(user),
                    "connectionStringSecretName": f"{dns_name(user)}-database-connection",
                    "roles": [{"name": role, "db": database} for role, database in granted],
                }
                for user, granted in roles.items()
            ]
        },
    }


def _container(
    version: str, arguments: list[str], *, environment: dict[str, str], shared: tuple[str, ...] = ()
) -> Manifest:
    """`shared`: variables that it has in common with the services."""
    image = compose()["operator"]["image"].partition(":")[0]
    return {
        "name": names.CONTAINER,
        "image": f"{image}:{version}",
        "command": ["python", *arguments],
        "env": [
            *({"name": name, "value": value} for name, value in environment.items()),
            *({"name": name, "valueFrom": {"configMapKeyRef": _in_settings(name)}} for name in shared),
        ],
    }


def _in_settings(name: str) -> Manifest:
    return {"name": names.SETTINGS_CONFIG_MAP, "key": name}


def _job(
    name: str,
    container: Manifest,
    *,
    labels: dict[str, str],
    secrets: dict[str, tuple[str, str]],
    admin: str,
) -> Manifest:
    """`secrets`: file -> Secret and key. `admin`: the Secret with the administrator's password."""
    sources = [
        {"secret": {"name": secret, "items": [{"key": key, "path": file}]}}
        for file, (secret, key) in secrets.items()
    ]
    volumes = [
        {"name": "credentials", "projected": {"sources": sources}},
        {
            "name": "admin",
            "secret": {"secretName": admin, "items": [{"key": "password", "path": "password"}]},
        },
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "template": {
                "metadata": {"labels": {names.NAME_LABEL: name} | labels},
                "spec": {"containers": [container], "volumes": volumes},
            }
        },
    }
