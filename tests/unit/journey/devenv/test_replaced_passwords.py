"""Passwords of the processes' servers: derived, until one is replaced in its file."""

from dataclasses import replace
from pathlib import Path

import pytest

from journey.admin.private_files import write_private
from journey.admin.registry import SERVICES
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ProcessShop

LOCAL = Infrastructure(
    kind="local",
    amqp_url="amqp://operator:first@127.0.0.1:1",
    management_url="http://operator:first@127.0.0.1:1",
    mongo_url="mongodb://admin:first@127.0.0.1:1/?replicaSet=rs0",
    smtp_url="",
    mailbox_url="",
    said="",
)


def passwords(state_dir: Path, infrastructure: Infrastructure = LOCAL) -> dict[str, str]:
    """File -> password, as the next `journey up` sets them and writes them for the services."""
    shop = ProcessShop(state_dir, infrastructure)
    for name in (*SERVICES, "gateway"):
        shop.environment(name)
    of_database = {f"mongo_{user}": password for user, password in shop.database.passwords.items()}
    return {**shop.endpoints.passwords, **of_database}


@pytest.mark.parametrize("file", ["order_svc", "gateway", "client", "mongo_order_svc", "mongo_operator"])
def test_a_replaced_password_lasts(tmp_path: Path, file: str) -> None:
    before = passwords(tmp_path)
    write_private(tmp_path / "credentials" / file, "replaced\n")
    assert passwords(tmp_path) == passwords(tmp_path) == before | {file: "replaced"}
    if not file.endswith(("client", "operator")):
        assert (tmp_path / "credentials" / file).read_text() == "replaced", "as its service reads it"


def test_a_replaced_administrators_password_replaces_no_other(tmp_path: Path) -> None:
    """Those of the users are derived from it only once."""
    before = passwords(tmp_path)
    after = passwords(
        tmp_path,
        replace(
            LOCAL,
            management_url=LOCAL.management_url.replace("first", "second"),
            mongo_url=LOCAL.mongo_url.replace("first", "second"),
        ),
    )
    services = [*SERVICES, *(f"mongo_{name}" for name in SERVICES)]
    assert {name: after[name] for name in services} == {name: before[name] for name in services}
    assert (before["operator"], after["operator"]) == ("first", "second")


def test_the_administrators_password_is_that_of_the_server(tmp_path: Path) -> None:
    write_private(tmp_path / "credentials" / "operator", "an old one")
    assert passwords(tmp_path)["operator"] == "first"


def test_an_empty_file_is_no_password(tmp_path: Path) -> None:
    before = passwords(tmp_path)
    write_private(tmp_path / "credentials" / "order_svc", "\n")
    assert passwords(tmp_path) == before


def test_servers_of_the_environment_keep_the_derived_passwords(tmp_path: Path) -> None:
    """Several checkouts may use them: a password that only one of them knows would lock the others out."""
    shared = replace(LOCAL, kind="environment")
    before = passwords(tmp_path, shared)
    write_private(tmp_path / "credentials" / "order_svc", "replaced")
    assert passwords(tmp_path, shared) == before
