"""A service's part in a journey, over HTTP: GET /journeys/{id} and GET /handled/{kind}."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class EmittedMessage(BaseModel):
    """A message that a service emitted, without its body."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    type: str
    time: str
    subject: str


class EmittedBody(EmittedMessage):
    """A message that a service emitted. `journey`: its correlation id."""

    journey: str = Field(validation_alias="correlation_id")
    body: str


class RecordedTimes(BaseModel):
    """What preceded the decision about a message; see chassis.store.protocol.HandlingTimes.

    Null and 0: it did not happen, or an earlier version handled the message and did not record it.
    """

    model_config = ConfigDict(from_attributes=True, frozen=True)

    sent_at: datetime | None = None
    received_at: datetime | None = None
    effect_began_at: datetime | None = None
    effect_ended_at: datetime | None = None
    failed_attempts: int = 0
    postponed: int = 0


class HandledMessage(BaseModel):
    """One message that a service handled in a journey: the status before and after,
    and what was emitted for it. `times` is present only if the request asks for it.
    """

    service: str
    kind: str
    key: str
    message_id: str
    type: str
    at: str
    status_from: str
    status_to: str
    says: list[EmittedBody]
    times: RecordedTimes = RecordedTimes()


class HandlingRecord(BaseModel):
    """The ids of all messages that an aggregate has handled and emitted, and its current status.

    `changed_at` is null if an older version wrote it. `is_open`: the status is one of its open statuses.
    """

    key: str
    status: str
    is_open: bool
    deadline_at: datetime | None
    changed_at: datetime | None
    handled: list[str]
    said: list[EmittedMessage]


class Kept(BaseModel):
    """The retention rule of one kind, and the progress of comparing the stored documents with it.

    `began_at`: no document's last change is older. Null while nothing has been compared.
    """

    kind: str
    kept_for_days: float
    ended_statuses: list[str] | None
    began_at: datetime | None
    examined: int
    dated: int
    done_at: datetime | None
