"""user_svc does not start without a service token."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.settings import BadSettings, load_settings
from user_svc.settings import AuthPolicy, UserSettings

ADDRESSES = {"AMQP_URL": "amqp://user_svc@localhost/", "MONGO_URL": "mongodb://localhost/?replicaSet=rs0"}


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_TOKEN", "SERVICE_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ADDRESSES.items():
        monkeypatch.setenv(name, value)


def test_the_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "sixteen-letters!")
    settings = load_settings(UserSettings)
    assert settings.service_token == "sixteen-letters!"
    assert "sixteen-letters!" not in repr(settings)


def test_the_token_comes_from_a_file_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("the-token-in-the-file\n")
    monkeypatch.setenv("SERVICE_TOKEN", "the-token-in-the-environment")
    monkeypatch.setenv("SERVICE_TOKEN_FILE", str(tmp_path / "token"))
    assert load_settings(UserSettings).service_token == "the-token-in-the-file"


def test_the_auth_policy_is_configurable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "sixteen-letters!")
    assert load_settings(UserSettings).auth_policy() == AuthPolicy(
        keys_days=30, refresh_grace_s=10, tries_per_minute=30
    )
    for name, value in {"KEYS_DAYS": "7", "REFRESH_GRACE_S": "0", "TRIES_PER_MINUTE": "100"}.items():
        monkeypatch.setenv(name, value)
    assert load_settings(UserSettings).auth_policy() == AuthPolicy(
        keys_days=7, refresh_grace_s=0, tries_per_minute=100
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "a token of at least 16 characters is needed"),
        ({"SERVICE_TOKEN": "too-short"}, "a token of at least 16 characters is needed"),
        ({"SERVICE_TOKEN_FILE": "/nowhere/token"}, "SERVICE_TOKEN_FILE cannot be read: FileNotFoundError"),
        ({"SERVICE_TOKEN_FILE": os.devnull}, "a token of at least 16 characters is needed"),
        (
            {"SERVICE_TOKEN": "sixteen-letters!", "KEYS_DAYS": "0.5"},
            "KEYS_DAYS: Input should be greater than",
        ),
    ],
)
def test_without_a_valid_token_the_remedy_is_printed(
    environment: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as caught:
        load_settings(UserSettings)
    assert sentence in str(caught.value)
    assert "too-short" not in str(caught.value)


def test_the_process_refuses_to_start_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-m", "user_svc"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "SERVICE_TOKEN: " in done.stderr
    assert "Traceback" not in done.stderr
