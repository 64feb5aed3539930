"""The state of a changing e-mail address, and the commands that change it. They are never published."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

PROOF_LIFETIME = timedelta(hours=24)
FORMER_EMAILS_MAX = 5
FORMER_EMAILS_KEPT_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class EmailChange:
    """A change of the e-mail address that its user has to confirm by the mail to the new address."""

    request_id: UUID
    email: str
    at: datetime

    @property
    def kept_until(self) -> datetime:
        return self.at + PROOF_LIFETIME


@dataclass(frozen=True, slots=True)
class FormerEmail:
    """An address that a change has replaced, kept for the notice to it. `request_id`: of that change."""

    request_id: UUID
    email: str
    at: datetime

    @property
    def kept_until(self) -> datetime:
        return self.at + FORMER_EMAILS_KEPT_FOR


@dataclass(frozen=True, slots=True)
class RequestEmailChange:
    """Change the address once its user has confirmed the new one. Replaces an earlier request.

    `sends_mail`: False if the new address may get no mail, which the response does not show.
    """

    request_id: UUID
    email: str
    at: datetime
    sends_mail: bool = True


@dataclass(frozen=True, slots=True)
class ChangeEmail:
    """The caller has checked the link from the mail and the password, and reserved the new address."""

    request_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class DropEmailChange:
    """Drop the requested change, if it is to this address. `email` None: whatever the address."""

    email: str | None = None


EmailCommand = RequestEmailChange | ChangeEmail | DropEmailChange
