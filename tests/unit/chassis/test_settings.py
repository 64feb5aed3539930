"""Settings from the environment: an unsafe or invalid value stops the start with a sentence about it."""

from typing import Any

import pytest

from chassis.settings import BadSettings, Settings, load_settings

GOOD = {
    "amqp_url": "amqp://order_svc:secret@rabbit:5672/",
    "mongo_url": "mongodb://mongo:27017/?replicaSet=rs0",
}


def test_what_is_right_is_taken() -> None:
    assert load_settings(Settings, **GOOD).broker_url() == GOOD["amqp_url"]


@pytest.mark.parametrize(
    ("wrong", "emitted"),
    [
        ({"amqp_url": "amqps://order_svc@rabbit/?no_verify_ssl=1"}, "AMQP_URL: .*no_verify_ssl .*remove it"),
        ({"amqp_url": "amqp://guest:guest@rabbit/"}, "AMQP_URL: .*guest .*give this service its own"),
        ({"mongo_url": "mongodb://mongo/?tls=true&tlsInsecure=true"}, "MONGO_URL: .*tlsInsecure .*remove"),
        ({"mongo_url": "mongodb://mongo/?tlsAllowInvalidHostnames=true"}, "MONGO_URL: .*remove"),
        ({"amqp_url": "http://rabbit:15672"}, "AMQP_URL: .*must begin with amqp://"),
        ({"mongo_url": "http://mongo:27017"}, "MONGO_URL: .*must begin with mongodb://"),
        ({"http_port": 70_000}, "HTTP_PORT: "),
        ({"drain_s": 60}, "DRAIN_S: "),
        ({"mongo_driver": "odbc"}, "MONGO_DRIVER: "),
    ],
)
def test_what_is_wrong_is_named_and_nothing_starts(wrong: dict[str, Any], emitted: str) -> None:
    with pytest.raises(BadSettings, match=emitted) as refused:
        load_settings(Settings, **GOOD | wrong)
    assert refused.value.code != 0


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMQP_URL", raising=False)
    with pytest.raises(BadSettings, match="AMQP_URL: "):
        load_settings(Settings, mongo_url=GOOD["mongo_url"])


def test_no_complaint_repeats_a_password() -> None:
    with pytest.raises(BadSettings) as refused:
        load_settings(Settings, **GOOD | {"amqp_url": "amqps://order_svc:hunter2@rabbit/?no_verify_ssl=1"})
    assert "hunter2" not in str(refused.value)
