"""The base of every message: a frozen model with a wire type, one owner and a subject.

A command is a request to its owner; an event states a fact and is published by its owner. The wire type is
`<owner>.<what>.v<n>` and also serves as the routing key.
"""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

# The first part of a wire type -> the service that owns its messages. `declare_owner` fills it.
OWNERS: dict[str, str] = {}
_WIRE_TYPE = re.compile(r"^[a-z]+\.[a-z_]+\.v[1-9][0-9]*$")

REGISTRY: dict[str, "type[Message]"] = {}


def declare_owner(prefix: str, *, service: str) -> None:
    """Declares which service owns the messages whose wire types begin with `prefix`.

    Call it above these messages.
    """
    if OWNERS.setdefault(prefix, service) != service:
        raise ValueError(
            f"{prefix!r} belongs to {OWNERS[prefix]} already; choose another prefix for {service}"
        )


class Sender(StrEnum):
    """Who may send a command: a client program, the staff, or only the owner to itself."""

    CLIENT = "client"
    STAFF = "staff"
    SELF = "self"


class Message(BaseModel):
    """A frozen message. Its sender may not add fields; its consumers ignore unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str] = ""
    OWNER: ClassVar[str] = ""
    SUBJECT: ClassVar[str] = ""
    # How long after its time it may be handled without an additional check; None: without limit.
    HORIZON: ClassVar[timedelta | None] = None

    def __init_subclass__(
        cls, *, type: str = "", subject: str = "", horizon: timedelta | None = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if not type:
            return
        if not _WIRE_TYPE.match(type):
            raise TypeError(f"{cls.__name__}: {type!r} is not a wire type; write <owner>.<what>.v<n>")
        prefix = type.partition(".")[0]
        if prefix not in OWNERS:
            remedy = f'write declare_owner("{prefix}", service=…) above it in {cls.__module__}'
            raise TypeError(f"{cls.__name__}: nothing says which service owns {type!r}; {remedy}")
        if type in REGISTRY:
            raise TypeError(f"{cls.__name__}: {type!r} is already used by {REGISTRY[type].__name__}")
        cls.TYPE = type
        cls.OWNER = OWNERS[prefix]
        cls.SUBJECT = subject
        cls.HORIZON = horizon
        REGISTRY[type] = cls

    @property
    def subject(self) -> str:
        """The id of the aggregate that this message is about; the key under which it is handled."""
        return str(getattr(self, self.SUBJECT))


class Event(Message):
    """A fact in the past tense, published by the service that owns it.

    `for_clients`: every client program may read it, for all customers' orders. So it must not contain a means
    of payment or purchased items. See chassis/messaging/senders.py.
    """

    FOR_CLIENTS: ClassVar[bool] = False

    def __init_subclass__(cls, *, for_clients: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.FOR_CLIENTS = for_clients


class Command(Message):
    """A request in the imperative, sent to the service that owns it.

    `asked_by`: other services that may send it; their definitions list it in `sends`. See
    chassis/messaging/senders.py.
    """

    SENDER: ClassVar[Sender] = Sender.CLIENT
    ASKED_BY: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls, *, sender: Sender = Sender.CLIENT, asked_by: tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if asked_by and sender is Sender.SELF:
            raise TypeError(
                f"{cls.__name__}: a command of a service to itself cannot have asked_by {asked_by}"
            )
        cls.SENDER = sender
        cls.ASKED_BY = asked_by
