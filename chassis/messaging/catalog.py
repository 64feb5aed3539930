"""The messages that one program knows. Two programs in one process can have different catalogs.

A message module declares its `Owner` and the messages. The program's catalog lists the owners:

    CATALOG = Catalog(orders.ORDER, payments.PAYMENT, declared_in=__name__)
"""

from collections.abc import Container, Iterator, Mapping

from chassis.messaging.message import Command, Event, Message, Owner, file_of
from chassis.messaging.senders import CLIENT, OPERATOR, UNLISTED, UNVERIFIED, senders
from chassis.messaging.topology_names import TopologyNames


class UnknownMessageType(KeyError):
    """A wire type that is not in the catalog. The text names the file that has to change."""

    def __str__(self) -> str:
        return str(self.args[0])


class UpcastFailed(ValueError):
    """An older version of a message could not be converted. The text repeats no content of the message."""


class Catalog(Mapping[str, type[Message]]):
    """Wire type -> message class, for all messages of the given owners. It does not change later.

    `declared_in`: the module that builds it, for the texts of errors. `names`: of the system's exchanges,
    queues and users on the broker. Raises ValueError if two owners have one prefix.
    """

    def __init__(self, *owners: Owner, declared_in: str, names: TopologyNames | None = None) -> None:
        self.declared_in = file_of(declared_in)
        self.names = names or TopologyNames()
        by_prefix: dict[str, Owner] = {}
        for owner in owners:
            other = by_prefix.setdefault(owner.prefix, owner)
            if other is not owner:
                raise ValueError(
                    f"{owner.prefix!r} belongs to {other.service} already; "
                    f"choose another prefix for {owner.service} in {declared_in}"
                )
        self._owners = tuple(by_prefix.values())
        self._by_type = {type_: each for owner in self._owners for type_, each in owner.messages.items()}
        self._newer = {each.UPCASTS: each for each in self._by_type.values() if each.UPCASTS is not None}
        commands = [each for each in self._by_type.values() if issubclass(each, Command)]
        asking = sorted({name for command in commands for name in command.ASKED_BY})
        services = [*(owner.service for owner in self._owners), *asking]
        self.roles = tuple(dict.fromkeys((CLIENT, OPERATOR, *services)))
        """The roles that may send a message of the catalog. A service's role is its name."""

    def __getitem__(self, type_: str) -> type[Message]:
        try:
            return self._by_type[type_]
        except KeyError:
            raise UnknownMessageType(
                f"no message has the type {type_!r}; declare it in a module of messages, "
                f"and add its owner to Catalog(…) in {self.declared_in}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_type)

    def __len__(self) -> int:
        return len(self._by_type)

    # Mapping's own methods cost an exception for an unknown type, and each message on the wire is looked up.
    def __contains__(self, type_: object) -> bool:
        return type_ in self._by_type

    def why_missing(self, contract: type[Message]) -> str:
        """Why a message class is not in the catalog, with the line to write; empty if it is."""
        known = self._by_type.get(contract.TYPE)
        if known is contract:
            return ""
        if known is not None:
            return (
                f"{contract.TYPE!r} of {self.declared_in} is {known.__name__} of {file_of(known.__module__)}"
            )
        name = f"{contract.__name__} of {file_of(contract.__module__)}"
        if any(contract.TYPE in owner.messages for owner in self._owners):
            remedy = f"import {file_of(contract.__module__)} above the Catalog(…) in {self.declared_in}"
            return f"{name} was declared after the catalog was built; {remedy}"
        return f"{name} is not in the catalog; add its owner to Catalog(…) in {self.declared_in}"

    def upcast(self, message: Message, until: Container[type[Message]] = ()) -> Message:
        """The message in the first later version that is in `until`, or else in the newest of the catalog.

        Raises UpcastFailed.
        """
        while type(message) not in until and (newer := self._newer.get(type(message))) is not None:
            try:
                converted = newer.upcast(message)
            except Exception as error:
                raise UpcastFailed(
                    f"{message.TYPE}: {newer.__name__}.upcast in {file_of(newer.__module__)} raised "
                    f"{type(error).__name__}"
                ) from error
            if converted.subject != message.subject:
                raise UpcastFailed(f"{message.TYPE}: {newer.__name__}.upcast changed the subject")
            message = converted
        return message

    def role_of(self, user: str | None) -> str:
        """A broker user's role: one of `roles`, UNVERIFIED or UNLISTED.

        A client's user is `client.<name>`.
        """
        if not user:
            return UNVERIFIED
        if self.names.is_client(user):
            return CLIENT
        return user if user in self.roles and user != CLIENT else UNLISTED

    def sent_by(self, role: str) -> tuple[type[Message], ...]:
        """All messages that a role may send, sorted by wire type."""
        return tuple(each for _, each in sorted(self._by_type.items()) if role in senders(each))

    def read_by_clients(self) -> tuple[type[Event], ...]:
        """The events that client programs may read, sorted by wire type."""
        events = [each for _, each in sorted(self._by_type.items()) if issubclass(each, Event)]
        return tuple(event for event in events if event.FOR_CLIENTS)
