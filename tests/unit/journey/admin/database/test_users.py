"""The users of the database follow from the services; their passwords are in files."""

from pathlib import Path

import pytest

from journey.admin.database.admin import with_login
from journey.admin.database.target import target_from
from journey.admin.database.users import stored_users
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import CONSUMING_SERVICES, shop_database_users

URL = "mongodb://admin@mongo:27017/?replicaSet=rs0"


def test_each_service_has_a_user_for_its_own_databases() -> None:
    users = {user.name: user.roles for user in shop_database_users("shop_")}
    assert set(users) == {f"shop_{name}" for name in (*CONSUMING_SERVICES, "operator")}
    own = {name: users[f"shop_{name}"] for name in CONSUMING_SERVICES}
    assert own.pop("payment_svc") == {
        ("readWrite", "shop_payment_svc"),
        ("readWrite", "shop_card_provider"),
    }
    assert own == {name: {("readWrite", f"shop_{name}")} for name in own}
    assert {role for role, _ in users["shop_operator"]} == {"read"}


def test_the_stored_users_are_those_of_the_services() -> None:
    assert stored_users() == shop_database_users()


def test_the_environment_names_the_database_and_the_passwords(tmp_path: Path) -> None:
    (tmp_path / "admin").write_text("p@ss\n")
    (tmp_path / "mongo_order_svc").write_text("of order_svc\n")
    environ = {
        "MONGO_ADMIN_URL": URL,
        "MONGO_ADMIN_PASSWORD_FILE": str(tmp_path / "admin"),
        "CREDENTIALS_DIR": str(tmp_path),
    }
    target = target_from(environ)
    assert target.url == "mongodb://admin:p%40ss@mongo:27017/?replicaSet=rs0"
    assert target.passwords["order_svc"] == "of order_svc"
    assert set(target.passwords) == {user.name for user in target.users}
    assert min(len(each) for name, each in target.passwords.items() if name != "order_svc") >= 32
    assert target_from(environ).passwords == target.passwords, "created once"
    assert (tmp_path / "mongo_gateway").stat().st_mode & 0o077 == 0
    assert "p%40ss" not in repr(target) and target.passwords["gateway"] not in repr(target)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "MONGO_ADMIN_URL and CREDENTIALS_DIR not set"),
        ({"MONGO_ADMIN_URL": URL}, "CREDENTIALS_DIR not set"),
        (
            {"MONGO_ADMIN_URL": URL, "CREDENTIALS_DIR": ".", "MONGO_ADMIN_PASSWORD_FILE": "nowhere"},
            "MONGO_ADMIN_PASSWORD_FILE: nowhere cannot be read",
        ),
        (
            {"MONGO_ADMIN_URL": URL.replace("admin", "admin:its"), "CREDENTIALS_DIR": "/dev/null"},
            "the password file /dev/null/mongo_order_svc can be neither read nor created",
        ),
    ],
)
def test_what_is_missing_is_named(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(InfrastructureUnavailable, match=reason):
        target_from(environ)


@pytest.mark.parametrize(
    ("user", "expected"),
    [("a/b", "mongodb://a%2Fb:p%40@h1:1,h2:2/?replicaSet=rs0"), ("", "mongodb://h1:1,h2:2/?replicaSet=rs0")],
)
def test_a_url_gets_other_credentials(user: str, expected: str) -> None:
    assert with_login("mongodb://old:one@h1:1,h2:2/?replicaSet=rs0", user, "p@") == expected
