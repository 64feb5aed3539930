"""The Deployment of a program. What all Deployments share stands in base/deployment-defaults.yaml."""

from typing import Any

from chassis.messaging.envelope import OPERATOR
from tests.support.kubernetes import names
from tests.support.kubernetes.programs import Program, dns_name

Manifest = dict[str, Any]


def labels(program: Program) -> Manifest:
    """The component label has the name that metrics use; names of objects contain no underscore."""
    return {names.NAME_LABEL: program.dns, names.COMPONENT_LABEL: program.name}


def selector(program: Program) -> Manifest:
    return {"matchLabels": {names.NAME_LABEL: program.dns}}


def deployment(program: Program, version: str) -> Manifest:
    """Without a number of replicas: KEDA sets it."""
    pod_labels = labels(program) | {names.BROKER_LABEL: "administrator"}
    if program.definition is not None:
        pod_labels |= {names.BROKER_LABEL: "client", names.DATABASE_LABEL: "client"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": program.dns, "labels": labels(program)},
        "spec": {
            "selector": selector(program),
            "template": {
                "metadata": {"labels": pod_labels},
                "spec": {
                    "serviceAccountName": program.dns,
                    "containers": [_container(program, version)],
                    "volumes": [_credentials(program), _certificate(program)],
                },
            },
        },
    }


def ports(program: Program) -> dict[str, int]:
    """Name -> port. A program with a public server has a second one."""
    public = {"public": names.PUBLIC_PORT} if "public_port" in program.fields else {}
    return {"http": names.HTTP_PORT} | public


def _container(program: Program, version: str) -> Manifest:
    return {
        "name": names.CONTAINER,
        "image": f"{program.image}:{version}",
        "env": [{"name": name, "value": value} for name, value in _environment(program).items()],
        "ports": [{"name": name, "containerPort": port} for name, port in ports(program).items()],
        "resources": {"requests": {"memory": program.memory}, "limits": {"memory": program.memory}},
    }


def _environment(program: Program) -> dict[str, str]:
    user = program.name if program.definition is not None else OPERATOR
    broker = f"{names.BROKER_HOST}:{names.AMQPS_PORT}/{names.VHOST}"
    found = {
        "AMQP_URL": f"amqps://{user}@{broker}",
        "AMQP_PASSWORD_FILE": f"{names.CREDENTIALS}/broker",
    }
    if program.definition is not None:
        options = "replicaSet=mongo&tls=true"
        found["MONGO_URL"] = f"mongodb+srv://{program.name}@{names.DATABASE_HOST}/?{options}"
        found["MONGO_PASSWORD_FILE"] = f"{names.CREDENTIALS}/database"
    else:
        found["RABBITMQ_MANAGEMENT_URL"] = f"https://{names.BROKER_HOST}:{names.MANAGEMENT_PORT}"
    if program.sends_token:
        found["SERVICE_TOKEN_FILE"] = f"{names.CREDENTIALS}/service-token"
    if "public" in ports(program):
        found |= {"PUBLIC_HOST": "0.0.0.0", "PUBLIC_PORT": str(names.PUBLIC_PORT)}
    for called, variable in program.variable_of_url.items():
        found[variable] = f"https://{dns_name(called)}:{names.HTTP_PORT}"
    return found


def _credentials(program: Program) -> Manifest:
    """The secrets of this program and of no other, as files."""
    user = program.dns if program.definition is not None else OPERATOR
    secrets = {names.broker_secret(user): ("password", "broker")}
    if program.definition is not None:
        secrets[names.database_secret(user)] = ("password", "database")
    if program.sends_token:
        secrets[names.SERVICE_TOKEN_SECRET] = ("token", "service-token")
    sources = [
        {"secret": {"name": name, "items": [{"key": key, "path": path}]}}
        for name, (key, path) in secrets.items()
    ]
    return {"name": "credentials", "projected": {"sources": sources}}


def _certificate(program: Program) -> Manifest:
    """The certificate of its HTTP API, for the name of its Service."""
    return {"name": "certificate", "secret": {"secretName": names.tls_secret(program.dns)}}
