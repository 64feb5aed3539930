"""compose.yaml: what is published, which networks connect what, and which rights containers have."""

import re
from typing import Any

import pytest

from chassis.application import application_of
from chassis.web.service_token import ServiceTokenSettings
from gateway.settings import GatewaySettings
from journey.admin.registry import SERVICES
from tests.support.alert_rules import ROOT, parsed
from tests.support.image_requirements import programs

COMPOSE: dict[str, Any] = parsed(ROOT / "compose.yaml")
TOOLS: dict[str, Any] = parsed(ROOT / "compose.tools.yaml")
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = tuple(programs(ROOT))
SERVERS = {"rabbitmq", "rabbitmq2", "rabbitmq3", "mongo", "mongo2", "mongo3"}
MONITORING = {"collector", "jaeger", "prometheus", "alertmanager", "grafana"}
PUBLISHED = {"gateway", "rabbitmq", "mail", "jaeger", "prometheus", "alertmanager", "grafana"}
CLUSTER = {"rabbitmq2", "rabbitmq3", "mongo2", "mongo3"}


def test_only_the_gateway_and_pages_are_published_on_loopback() -> None:
    published = {name: each["ports"] for name, each in CONTAINERS.items() if "ports" in each}
    assert set(published) == PUBLISHED
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert all(port.endswith(":15672") for port in published["rabbitmq"]), "AMQP is not published"


@pytest.mark.parametrize("name", [*OWN, *sorted(SERVERS)])
def test_a_container_can_have_several_instances(name: str) -> None:
    """Two instances cannot share a name or publish the same port. SHOP_PORT can be a range."""
    assert "container_name" not in CONTAINERS[name]
    fixed = [port for port in CONTAINERS[name].get("ports", ()) if "${SHOP_PORT:-" not in port]
    assert not fixed or name == "rabbitmq"


@pytest.mark.parametrize("service", SERVICES)
def test_tools_get_a_free_port_of_each_instance(service: str) -> None:
    assert TOOLS["services"][service] == {"ports": ["127.0.0.1::8080"]}


def test_tools_publish_on_loopback_only_and_change_nothing_else() -> None:
    for each in TOOLS["services"].values():
        assert set(each) == {"ports"}
        assert all(port.startswith("127.0.0.1:") for port in each["ports"])


def networks_of(name: str) -> set[str]:
    return set(CONTAINERS[name]["networks"])


def test_networks_separate_the_public_the_services_and_the_data() -> None:
    on = {
        network: {name for name in CONTAINERS if network in networks_of(name)}
        for network in COMPOSE["networks"]
    }
    assert on["edge"] == {"gateway"}
    assert on["data"] == {*SERVICES, "gateway", "operator", "mongo", "mongo2", "mongo3"}
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert on["services"] == set(CONTAINERS) - {"mongo", "mongo2", "mongo3"}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_has_no_capabilities_that_it_does_not_need(name: str) -> None:
    each = CONTAINERS[name]
    assert each["cap_drop"] == ["ALL"]
    assert each["security_opt"] == ["no-new-privileges:true"]
    allowed = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"} if name in SERVERS else set()
    assert set(each.get("cap_add", ())) == allowed
    assert "privileged" not in each and "network_mode" not in each and "user" not in each


@pytest.mark.parametrize("name", [*OWN, "mail"])
def test_a_container_writes_only_to_volumes_and_tmp(name: str) -> None:
    assert CONTAINERS[name]["read_only"] is True
    assert CONTAINERS[name]["tmpfs"] == ["/tmp"]
    writable = [volume for volume in CONTAINERS[name].get("volumes", ()) if not volume.endswith(":ro")]
    assert not writable or name == "operator"


def test_the_servers_are_reached_by_a_name_for_all_members() -> None:
    for name in ("rabbitmq", "rabbitmq2", "rabbitmq3"):
        assert CONTAINERS[name]["networks"] == {"services": {"aliases": ["broker"]}}
    for name in ("mongo", "mongo2", "mongo3"):
        assert CONTAINERS[name]["networks"] == {"data": {"aliases": ["database"]}}
    for name in (*SERVICES, "gateway"):
        assert f"{name}@broker:5672/" in CONTAINERS[name]["environment"]["AMQP_URL"]
        assert f"{name}@database:27017/?replicaSet=rs0" in CONTAINERS[name]["environment"]["MONGO_URL"]
        assert CONTAINERS[name]["environment"]["MONGO_PASSWORD_FILE"] == f"/credentials/mongo_{name}"


SETTINGS = {name: application_of(name).settings for name in SERVICES} | {"gateway": GatewaySettings}
TOKEN_READERS = {name for name, kind in SETTINGS.items() if issubclass(kind, ServiceTokenSettings)}
# The containers that administer the servers, and the volumes that only they mount.
ADMINISTRATORS = {
    "credentials": {"operator"},
    "operator": {"rabbitmq", "rabbitmq2", "rabbitmq3", "operator", "operations"},
    "rabbitmq_cookie": {"rabbitmq", "rabbitmq2", "rabbitmq3"},
    "mongo_admin": {"mongo", "mongo2", "mongo3", "operator"},
    "mongo_key": {"mongo", "mongo2", "mongo3"},
}


def mounts(name: str) -> dict[str, str]:
    """Volume or folder -> the folder and the options with which the container mounts it."""
    volumes = CONTAINERS[name].get("volumes", ())
    return {volume.partition(":")[0]: volume.partition(":")[2] for volume in volumes}


@pytest.mark.parametrize("name", [*SERVICES, "gateway"])
def test_a_service_mounts_its_own_credentials_only(name: str) -> None:
    """The operator copies the service's files into its volume; no other service mounts it."""
    volume = f"{name}_credentials"
    token = {"service_token": "/service_token:ro"} if name in TOKEN_READERS else {}
    assert mounts(name) == {volume: "/credentials:ro", **token}
    assert mounts("operator")[volume] == f"/service_credentials/{name}"
    assert [each for each in CONTAINERS if volume in mounts(each)] == ["operator", name]


def test_only_administrators_mount_the_secrets_of_servers() -> None:
    found = {volume: {name for name in CONTAINERS if volume in mounts(name)} for volume in ADMINISTRATORS}
    assert found == ADMINISTRATORS
    assert {name for name in CONTAINERS if "service_token" in mounts(name)} == {"operator", *TOKEN_READERS}


@pytest.mark.parametrize("name", OWN)
def test_the_secrets_of_a_container_are_in_its_volumes(name: str) -> None:
    """And none is in its environment, which other programs may read."""
    environment = CONTAINERS[name]["environment"]
    folders = [where.removesuffix(":ro") for where in mounts(name).values()]
    files = [value for key, value in environment.items() if key.endswith("_FILE")]
    assert files and all(file.rpartition("/")[0] in folders for file in files)
    assert not [key for key in environment if re.search("PASSWORD$|TOKEN$|SECRET$", key)]


def test_profiles_add_members_and_monitoring_only_on_request() -> None:
    profiles = {name: each["profiles"] for name, each in CONTAINERS.items() if "profiles" in each}
    in_cluster = {name for name, names in profiles.items() if names == ["cluster"]}
    assert in_cluster == CLUSTER
    assert {name for name, names in profiles.items() if names == ["observability"]} == MONITORING
    assert set(profiles) == CLUSTER | MONITORING


def test_members_share_a_key_file_and_nodes_a_cookie() -> None:
    for name in ("mongo", "mongo2", "mongo3"):
        assert "--keyFile=/tmp/mongo.key" in CONTAINERS[name]["command"]
        assert "--transitionToAuth" not in CONTAINERS[name]["command"], "clients must log in"
        assert "mongo_key:/key" in CONTAINERS[name]["volumes"]
    for name in ("rabbitmq", "rabbitmq2", "rabbitmq3"):
        assert CONTAINERS[name]["hostname"] == name
        assert "rabbitmq_cookie:/cookie" in CONTAINERS[name]["volumes"]


def test_queues_are_declared_when_all_nodes_are_there() -> None:
    """A quorum queue gets its replicas when it is declared."""
    needed = CONTAINERS["operator"]["depends_on"]
    optional = {"condition": "service_healthy", "required": False}
    assert needed == {
        "rabbitmq": {"condition": "service_healthy"},
        "rabbitmq2": optional,
        "rabbitmq3": optional,
        "mongo": {"condition": "service_healthy"},
        "mongo2": optional,
        "mongo3": optional,
    }


def test_no_default_password_is_in_the_file() -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert re.findall(r"(?<!\$)\$\{\w*PASS\w*:-[^}]*", text) == ["${OPERATOR_PASSWORD:-"]
