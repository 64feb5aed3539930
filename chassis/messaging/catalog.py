"""The messages that one program knows. Two programs in one process can have different catalogs.

A message module declares its `Owner` and the messages. The program's catalog lists the owners:

    CATALOG = Catalog(orders.ORDER, payments.PAYMENT, declared_in=__name__)
"""

from collections.abc import Iterator, Mapping

from chassis.messaging.message import Command, Event, Message, Owner, file_of
from chassis.messaging.senders import CLIENT, OPERATOR, UNLISTED, UNVERIFIED, is_client, senders


class UnknownMessageType(KeyError):
    """A wire type that is not in the catalog. The text names the file that has to change."""

    def __str__(self) -> str:
        return str(self.args[0])


class Catalog(Mapping[str, type[Message]]):
    """Wire type -> message class, for all messages of the given owners. It does not change later.

    `declared_in`: the module that builds it, for the texts of errors. Raises ValueError if two owners have
    one prefix.
    """

    def __init__(self, *owners: Owner, declared_in: str) -> None:
        self.place = file_of(declared_in)
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
                f"and add its owner to Catalog(…) in {self.place}"
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
            return f"{contract.TYPE!r} of {self.place} is {known.__name__} of {file_of(known.__module__)}"
        name = f"{contract.__name__} of {file_of(contract.__module__)}"
        if any(contract.TYPE in owner.messages for owner in self._owners):
            remedy = f"import {file_of(contract.__module__)} above the Catalog(…) in {self.place}"
            return f"{name} was declared after the catalog was built; {remedy}"
        return f"{name} is not in the catalog; add its owner to Catalog(…) in {self.place}"

    def role_of(self, user: str | None) -> str:
        """A broker user's role: one of `roles`, UNVERIFIED or UNLISTED.

        A client's user is `client.<name>`.
        """
        if not user:
            return UNVERIFIED
        if is_client(user):
            return CLIENT
        return user if user in self.roles else UNLISTED

    def sent_by(self, role: str) -> tuple[type[Message], ...]:
        """All messages that a role may send, sorted by wire type."""
        return tuple(each for _, each in sorted(self._by_type.items()) if role in senders(each))

    def read_by_clients(self) -> tuple[type[Event], ...]:
        """The events that client programs may read, sorted by wire type."""
        events = [each for _, each in sorted(self._by_type.items()) if issubclass(each, Event)]
        return tuple(event for event in events if event.FOR_CLIENTS)
