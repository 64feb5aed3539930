"""The settings of notification_svc, in addition to those of every service."""

from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from chassis.web.service_token import ServiceTokenSettings

Fault = Literal["", "raise", "hang"]
# RFC 5321, section 4.5.4.1, recommends retrying for four to five days, with growing pauses.
GIVE_UP_AFTER = timedelta(days=5)


class NotificationSettings(ServiceTokenSettings):
    """Read from environment variables of the same names, in upper case."""

    smtp_url: str = Field(
        description="the mail server: smtp://host:port (STARTTLS where offered) or smtps://host:port;"
        " with a login smtp://user@host:port, and then never without TLS",
        repr=False,
    )
    smtp_password_file: Path | None = Field(None, description="a file that holds the mail server's password")
    smtp_ca_file: Path | None = Field(
        None,
        description="the certificate authorities of the mail server, in PEM; by default the system's",
    )
    mail_from: str = Field(
        "Order Journey <no-reply@order-journey.example>", description="the sender, as name <address>"
    )
    mail_give_up_after: timedelta = Field(
        GIVE_UP_AFTER,
        gt=timedelta(0),
        description="how long to retry a mail that the recipient's server defers, in ISO 8601, e.g. P5D",
    )
    shop_url: str = Field(
        "http://127.0.0.1:8080", description="the public URL of the shop, used for links in mails"
    )
    user_svc_url: str = Field(description="the URL of user_svc, e.g. http://user_svc:8000")
    notification_fault: Fault = Field(
        "", description="a test aid, see faults.py; needs JOURNEY_ALLOW_FAULTS=1"
    )

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("must be smtp://host:port or smtps://host:port")
        if parts.password:
            raise ValueError(
                "must not hold a password; put it into a file and name that in SMTP_PASSWORD_FILE"
            )
        return url

    @field_validator("user_svc_url", "shop_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/")

    @field_validator("mail_from")
    @classmethod
    def _is_mailbox(cls, sender: str) -> str:
        if "@" not in parseaddr(sender)[1] or not sender.isprintable():
            raise ValueError("must be an address, or name <address>")
        return sender

    @field_validator("smtp_password_file", "smtp_ca_file")
    @classmethod
    def _is_there(cls, file: Path | None) -> Path | None:
        if file is not None and not file.is_file():
            raise ValueError("there is no such file")
        return file

    def smtp_password(self) -> str:
        """The password, from its file on each call, so that the file can be replaced. Raises OSError."""
        return self.smtp_password_file.read_text().strip() if self.smtp_password_file else ""

    @field_validator("notification_fault")
    @classmethod
    def _is_allowed(cls, fault: Fault, info: ValidationInfo) -> Fault:
        if fault and not info.data.get("journey_allow_faults"):
            raise ValueError("refused: this breaks the service on purpose")
        return fault
