"""The base of every message: a frozen model with a wire type, one owner and a subject.

A command is a request to its owner; an event states a fact and is published by its owner. The wire type is
`<owner>.<what>.v<n>` and also serves as the routing key.
"""

import builtins
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

_WIRE_TYPE = re.compile(r"^[a-z]+\.[a-z_]+\.v[1-9][0-9]*$")


def file_of(module: str) -> str:
    """The file of a module, relative to the program's root, for the texts of errors."""
    return f"{module.replace('.', '/')}.py"


class Owner:
    """The service that owns the messages whose wire types begin with `prefix`.

    Declare it above these messages.

    It belongs to no program yet: a `Catalog` takes the owners whose messages a program knows (catalog.py).
    """

    def __init__(self, prefix: str, *, service: str) -> None:
        self.prefix = prefix
        self.service = service
        self._messages: dict[str, type[Message]] = {}

    @property
    def messages(self) -> Mapping[str, "type[Message]"]:
        """Wire type -> message class, in the order of their declaration."""
        return MappingProxyType(self._messages)

    def declare(self, contract: "type[Message]", type_: str) -> None:
        """Add a message. Raises TypeError for a wire type that is malformed, used already,
        or has another prefix.
        """
        if not _WIRE_TYPE.match(type_):
            raise TypeError(f"{contract.__name__}: {type_!r} is not a wire type; write <owner>.<what>.v<n>")
        if type_.partition(".")[0] != self.prefix:
            remedy = f"must begin with '{self.prefix}.', the prefix of {self.service}"
            raise TypeError(
                f"{contract.__name__}: {type_!r} {remedy}; change it in {file_of(contract.__module__)}"
            )
        if other := self._messages.get(type_):
            location = f"{other.__name__} in {file_of(other.__module__)}"
            raise TypeError(f"{contract.__name__}: {type_!r} is already used by {location}")
        self._messages[type_] = contract


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
    # The version before this one, which `upcast` converts.
    UPCASTS: "ClassVar[type[Message] | None]" = None

    def __init_subclass__(
        cls,
        *,
        owner: Owner | None = None,
        type: str = "",
        subject: str = "",
        horizon: timedelta | None = None,
        upcasts: "builtins.type[Message] | None" = None,
        **kwargs: Any,
    ) -> None:
        """`upcasts`: the version of this message before; the class defines `upcast` (docs/versioning.md)."""
        super().__init_subclass__(**kwargs)
        if not type:
            return
        if owner is None:
            prefix = type.partition(".")[0]
            name = prefix.upper()
            location = file_of(cls.__module__)
            declared = f'{name} = Owner("{prefix}", service=…)'
            remedy = f"write {declared} above it in {location}, and owner={name} in its declaration"
            raise TypeError(f"{cls.__name__}: nothing says which service owns {type!r}; {remedy}")
        if upcasts is not None:
            _check_versions(cls, type, upcasts)
        owner.declare(cls, type)
        cls.UPCASTS = upcasts
        cls.TYPE = type
        cls.OWNER = owner.service
        cls.SUBJECT = subject
        cls.HORIZON = horizon

    @property
    def subject(self) -> str:
        """The id of the aggregate that this message is about; the key under which it is handled."""
        return str(getattr(self, self.SUBJECT))

    @classmethod
    def upcast(cls, older: Any) -> "Message":
        """This version of a message that was sent in the version before, an instance of `UPCASTS`."""
        raise NotImplementedError(f"{cls.__name__} is the first version of {cls.TYPE}")


def earlier_versions(contract: type[Message]) -> Iterator[type[Message]]:
    """The versions that can be converted into this one, newest first."""
    older = contract.UPCASTS
    while older is not None:
        yield older
        older = older.UPCASTS


def _check_versions(newer: type[Message], wire_type: str, older: type[Message]) -> None:
    """Raises TypeError unless `newer` is a later version of the same message, and can convert the older."""
    name, _, number = wire_type.rpartition(".v")
    older_name, _, older_number = older.TYPE.rpartition(".v")
    if name != older_name or int(number) <= int(older_number):
        raise TypeError(
            f"{newer.__name__}: {wire_type!r} is no later version of {older.TYPE!r}; "
            "write the same name and a higher number"
        )
    if issubclass(newer, Event) != issubclass(older, Event):
        raise TypeError(f"{newer.__name__}: it is an event in all versions, or a command in all versions")
    if "upcast" not in newer.__dict__:
        location = file_of(newer.__module__)
        raise TypeError(
            f"{newer.__name__}: nothing converts a {older.__name__} into it; "
            f"define the class method `upcast` in {location}"
        )


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
        if asked_by and sender is Sender.SELF:
            raise TypeError(
                f"{cls.__name__}: a command of a service to itself cannot have asked_by {asked_by}"
            )
        super().__init_subclass__(**kwargs)
        cls.SENDER = sender
        cls.ASKED_BY = asked_by
