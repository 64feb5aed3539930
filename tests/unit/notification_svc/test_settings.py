"""The error of an invalid setting names it and the remedy."""

from pathlib import Path
from typing import Any

import pytest

from chassis.settings import BadSettings, load_settings
from notification_svc.settings import NotificationSettings

GOOD: dict[str, Any] = {
    "amqp_url": "amqp://notification_svc@rabbitmq/journey",
    "mongo_url": "mongodb://mongo/?replicaSet=rs0",
    "smtp_url": "smtp://mail:1025",
    "user_svc_url": "http://user_svc:8080/",
    "service_token": "sixteen-letters!",
}


def load(**changed: Any) -> NotificationSettings:
    given = {name: value for name, value in (GOOD | changed).items() if value is not None}
    settings: NotificationSettings = load_settings(NotificationSettings, **given)
    return settings


def test_valid_settings_are_accepted() -> None:
    assert load().user_svc_url == "http://user_svc:8080"
    assert load().current_service_token() == "sixteen-letters!"
    assert load(shop_url="https://shop.example/").shop_url == "https://shop.example"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SMTP_URL", None),
        ("SMTP_URL", "mail:1025"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://user:password@mail:587"),
        ("SMTP_PASSWORD_FILE", Path("nowhere")),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "Shop <a@b.example>\r\nBcc: c@d.example"),
        ("USER_SVC_URL", None),
        ("USER_SVC_URL", "user_svc:8080"),
        ("SHOP_URL", "shop.example"),
        ("SHOP_URL", "javascript:alert(1)"),
        ("SERVICE_TOKEN_FILE", Path("nowhere")),
        ("SERVICE_TOKEN", ""),
        ("SERVICE_TOKEN", None),
        ("NOTIFICATION_FAULT", "raise"),
        ("NOTIFICATION_FAULT", "explode"),
    ],
)
def test_each_wrong_setting_is_named(variable: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GOOD:
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(BadSettings, match=rf"{variable}(: | cannot be read)"):
        load(**{variable.lower(): value})


def test_faults_require_permission() -> None:
    assert load(journey_allow_faults=True, notification_fault="hang").notification_fault == "hang"


def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("an-old-service-token\n")
    settings = load(service_token=None, service_token_file=file)
    assert settings.current_service_token() == "an-old-service-token"
    file.write_text("a-new-service-token\n")
    assert settings.current_service_token() == "a-new-service-token"


def test_several_tokens_are_accepted_and_the_first_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-new-service-token\nan-old-service-token\n")
    settings = load(service_token=None, service_token_file=file)
    assert settings.current_service_token() == "a-new-service-token"
    assert settings.accepted_service_tokens() == ["a-new-service-token", "an-old-service-token"]
    file.write_text("\n")
    assert settings.accepted_service_tokens() == ["a-new-service-token"]
    file.unlink()
    assert settings.accepted_service_tokens() == ["a-new-service-token"]


@pytest.mark.parametrize("between", ["\n\n", "\n \n", "\nshort\n"])
def test_a_short_line_is_no_accepted_token(tmp_path: Path, between: str) -> None:
    """A request without a token sends an empty one."""
    file = tmp_path / "token"
    file.write_text("an-old-service-token\n")
    settings = load(service_token=None, service_token_file=file)
    file.write_text(f"a-new-service-token{between}an-old-service-token\n")
    assert settings.accepted_service_tokens() == ["a-new-service-token", "an-old-service-token"]


def test_a_secret_is_not_in_the_settings_text() -> None:
    assert "s3cret" not in repr(load(service_token="s3cret-and-longer"))
