"""What a service tells of its part in a journey, over HTTP: GET /journeys/{id} and GET /handled/{kind}."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class EmittedMessage(BaseModel):
    """A message that a service sent, without what it says."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    type: str
    time: str
    subject: str


class EmittedBody(EmittedMessage):
    """A message that a service sent. `journey`: the correlation id under which it travels."""

    journey: str = Field(validation_alias="correlation_id")
    body: str


class HandledMessage(BaseModel):
    """One message that a service handled in a journey: what it did to the status, and what was said about it."""

    service: str
    kind: str
    key: str
    message_id: str
    type: str
    at: str
    status_from: str
    status_to: str
    says: list[EmittedBody]


class HandlingRecord(BaseModel):
    """What an aggregate has handled and said, by id, and how it is now.

    `changed_at` is null if an older version wrote it. `is_open`: it is not at rest.
    """

    key: str
    status: str
    is_open: bool
    deadline_at: datetime | None
    changed_at: datetime | None
    handled: list[str]
    said: list[EmittedMessage]


class Kept(BaseModel):
    """How long a service keeps the documents of one kind, and how far it has compared those stored with this rule.

    `began_at`: no document was changed for the last time before it. Null while nothing has been compared.
    """

    kind: str
    kept_for_days: float
    ended_statuses: list[str] | None
    began_at: datetime | None
    examined: int
    dated: int
    done_at: datetime | None
