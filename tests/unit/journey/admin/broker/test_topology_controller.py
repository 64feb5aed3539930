"""The operator's container: which files it reads on each round, and what it does in which order."""

from pathlib import Path
from typing import Any, cast

import pytest

from chassis.connection_urls import password_of
from journey.admin.broker import topology_controller
from journey.admin.broker.management import BrokerAdmin
from journey.admin.broker.topology_controller import management_url, one_round
from journey.admin.database.target import DatabaseTarget
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import SERVICES


class FakeAdmin:
    """Notes which password each service could read when the broker got its password."""

    def __init__(self, folders: Path) -> None:
        self._folders = folders
        self.applied: list[dict[str, str]] = []

    async def apply(self, _topology: object, _vhost: str, passwords: dict[str, str]) -> None:
        for name in SERVICES:
            assert (self._folders / name / name).read_text() == passwords[name], "the file comes first"
        self.applied.append(passwords)

    async def plan(self, _topology: object, _vhost: str) -> list[str]:
        return []


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a container with an administrator's password for each server, and a folder for each service."""
    monkeypatch.setattr(topology_controller, "APPLIED", tmp_path / "applied")
    for name in (*SERVICES, "gateway", "service_token"):
        (tmp_path / "folders" / name).mkdir(parents=True)
    (tmp_path / "operator").write_text("of the operator\n")
    (tmp_path / "admin").write_text("of the admin\n")
    return {
        "RABBITMQ_MANAGEMENT_URL": "http://operator@broker:15672",
        "OPERATOR_PASSWORD_FILE": str(tmp_path / "operator"),
        "CREDENTIALS_DIR": str(tmp_path / "credentials"),
        "SERVICE_CREDENTIALS_DIR": str(tmp_path / "folders"),
        "MONGO_ADMIN_URL": "mongodb://admin@database:27017/?replicaSet=rs0",
        "MONGO_ADMIN_PASSWORD_FILE": str(tmp_path / "admin"),
    }


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAdmin:
    """A broker; the database's users are applied, too, and have no differences."""

    async def nothing(_target: DatabaseTarget) -> list[Any]:
        return []

    monkeypatch.setattr(DatabaseTarget, "apply", nothing)
    monkeypatch.setattr(DatabaseTarget, "plan", nothing)
    return FakeAdmin(tmp_path / "folders")


async def test_each_service_gets_its_files_before_the_servers_do(
    environ: dict[str, str], admin: FakeAdmin, tmp_path: Path
) -> None:
    await one_round(cast(BrokerAdmin, admin), environ)
    for name in (*SERVICES, "gateway"):
        found = {file.name for file in (tmp_path / "folders" / name).iterdir()}
        assert found == {name, f"mongo_{name}"}
    assert [each.name for each in (tmp_path / "folders" / "service_token").iterdir()] == ["service_token"]
    assert len(admin.applied) == 1 and "service_token" not in admin.applied[0]


async def test_a_replaced_secret_reaches_its_service_on_the_next_round(
    environ: dict[str, str], admin: FakeAdmin, tmp_path: Path
) -> None:
    await one_round(cast(BrokerAdmin, admin), environ)
    credentials = tmp_path / "credentials"
    for name in ("order_svc", "mongo_order_svc", "service_token"):
        (credentials / name).write_text(f"new {name}")
    await one_round(cast(BrokerAdmin, admin), environ)
    own, token = tmp_path / "folders" / "order_svc", tmp_path / "folders" / "service_token"
    assert (own / "order_svc").read_text() == "new order_svc"
    assert (own / "mongo_order_svc").read_text() == "new mongo_order_svc"
    assert (token / "service_token").read_text() == "new service_token"
    assert len(admin.applied) == 1, "`restart` or `apply` sets it on the servers"


def test_the_operators_password_is_read_again(environ: dict[str, str], tmp_path: Path) -> None:
    assert password_of(management_url(environ)) == "of the operator"
    (tmp_path / "operator").write_text("a new one")
    assert password_of(management_url(environ)) == "a new one"
    (tmp_path / "operator").unlink()
    with pytest.raises(InfrastructureUnavailable, match="OPERATOR_PASSWORD_FILE"):
        management_url(environ)
