"""Settings from the environment: an unsafe or invalid value stops the start with a sentence about it."""

from pathlib import Path
from typing import Any

import pytest

from chassis.settings import BadSettings, Settings, load_settings

GOOD = {
    "amqp_url": "amqp://order_svc:secret@rabbit:5672/",
    "mongo_url": "mongodb://mongo:27017/?replicaSet=rs0",
}


def test_valid_settings_are_accepted() -> None:
    assert load_settings(Settings, **GOOD).broker_url() == GOOD["amqp_url"]


def test_a_service_takes_its_own_number_of_partitions() -> None:
    settings = load_settings(Settings, **GOOD, partitions="order_svc=3,payment_svc=2")
    assert [settings.partitions_of(name) for name in ("order_svc", "payment_svc", "user_svc")] == [3, 2, 1]


@pytest.mark.parametrize(
    ("wrong", "emitted"),
    [
        ({"amqp_url": "amqps://order_svc@rabbit/?no_verify_ssl=1"}, "AMQP_URL: .*no_verify_ssl .*remove it"),
        ({"amqp_url": "amqp://guest:guest@rabbit/"}, "AMQP_URL: .*guest .*give this service its own"),
        ({"mongo_url": "mongodb://mongo/?tls=true&tlsInsecure=true"}, "MONGO_URL: .*tlsInsecure .*remove"),
        ({"mongo_url": "mongodb://mongo/?tlsAllowInvalidHostnames=true"}, "MONGO_URL: .*remove"),
        ({"amqp_url": "http://rabbit:15672"}, "AMQP_URL: .*must begin with amqp://"),
        ({"mongo_url": "http://mongo:27017"}, "MONGO_URL: .*must begin with mongodb://"),
        ({"amqp_url": "amqp://order_svc:changeme@rabbit/"}, "AMQP_URL: .*well-known .*PASSWORD_FILE"),
        ({"amqp_url": "amqp://order_svc:order_svc@rabbit/"}, "AMQP_URL: .*well-known"),
        ({"mongo_url": "mongodb://admin:admin@a:1,b:2/?replicaSet=rs0"}, "MONGO_URL: .*well-known"),
        ({"amqp_password_file": "nowhere"}, "AMQP_PASSWORD_FILE: .*nowhere cannot be read"),
        ({"mongo_password_file": "nowhere"}, "MONGO_PASSWORD_FILE: .*MONGO_URL names no user"),
        ({"http_port": 70_000}, "HTTP_PORT: "),
        ({"drain_s": 60}, "DRAIN_S: "),
        ({"mongo_driver": "odbc"}, "MONGO_DRIVER: "),
        ({"partitions": "3"}, "PARTITIONS: .*'3' is not SERVICE=NUMBER; write e.g. order_svc=3"),
        ({"partitions": "order_svc=99"}, "PARTITIONS: .*order_svc has 99 partitions; give it 1 to 16"),
    ],
)
def test_each_wrong_setting_is_named_and_ends_the_process(wrong: dict[str, Any], emitted: str) -> None:
    with pytest.raises(BadSettings, match=emitted) as refused:
        load_settings(Settings, **GOOD | wrong)
    assert refused.value.code != 0


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMQP_URL", raising=False)
    with pytest.raises(BadSettings, match="AMQP_URL: "):
        load_settings(Settings, mongo_url=GOOD["mongo_url"])


def test_no_complaint_repeats_a_password() -> None:
    with pytest.raises(BadSettings) as refused:
        load_settings(Settings, **GOOD | {"amqp_url": "amqps://order_svc:hunter2@rabbit/?no_verify_ssl=1"})
    assert "hunter2" not in str(refused.value)


def test_passwords_come_from_files_and_are_read_each_time(tmp_path: Path) -> None:
    broker, database = tmp_path / "broker", tmp_path / "database"
    broker.write_text("one/two\n")
    database.write_text("a@b:c\n")
    settings = load_settings(
        Settings,
        amqp_url="amqp://order_svc@rabbit:5672/journey",
        amqp_password_file=broker,
        mongo_url="mongodb://order_svc@a:1,b:2/?replicaSet=rs0",
        mongo_password_file=database,
    )
    assert settings.broker_url() == "amqp://order_svc:one%2Ftwo@rabbit:5672/journey"
    assert settings.database_url() == "mongodb://order_svc:a%40b%3Ac@a:1,b:2/?replicaSet=rs0"
    broker.write_text("next")
    database.write_text("next")
    assert settings.broker_url() == "amqp://order_svc:next@rabbit:5672/journey"
    assert settings.database_url() == "mongodb://order_svc:next@a:1,b:2/?replicaSet=rs0"


@pytest.mark.parametrize(
    ("content", "problem"), [("guest\n", "a well-known one"), ("\n", "is empty"), ("order_svc", "well-known")]
)
@pytest.mark.parametrize("setting", ["amqp", "mongo"])
def test_a_file_without_a_good_password_is_refused(
    tmp_path: Path, setting: str, content: str, problem: str
) -> None:
    file = tmp_path / "password"
    file.write_text(content)
    urls = {"amqp_url": "amqp://order_svc@rabbit/", "mongo_url": "mongodb://order_svc@mongo/"}
    with pytest.raises(BadSettings, match=f"{setting.upper()}_PASSWORD_FILE: .*{problem}"):
        load_settings(Settings, **urls, **{f"{setting}_password_file": file})
