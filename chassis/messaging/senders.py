"""Who may send and read which message.

The consumers' check and the broker's permissions are both derived from this table.

| message                        | who may send it                                                        |
|--------------------------------|------------------------------------------------------------------------|
| an event                       | the service that owns it                                               |
| a command with `Sender.SELF`   | the service that owns it                                               |
| a command with `Sender.STAFF`  | the broker user `operator`, which the CLI and operations/ use          |
| a command with `Sender.CLIENT` | client programs, and the services that the contract's `asked_by` names |

Client programs read the events whose contract has `for_clients`. Services read what their definitions name.

The table is complete without the service definitions, because a consumer has only its own. A service
definition whose `sends` disagrees with the contracts does not load (chassis/core/definition.py).
"""

from collections.abc import Iterable
from functools import cache

from chassis.messaging.message import Command, Message, Sender
from chassis.messaging.topology_names import TopologyNames

CLIENT = "client"  # the role of client programs; their users are in TopologyNames
OPERATOR = "operator"  # redrives and backfills the messages of others, and sends the staff's commands
# roles for people and metrics: no verified user, and a user not in the table
UNVERIFIED = "none"
UNLISTED = "other"


@cache
def senders(contract: type[Message]) -> tuple[str, ...]:
    """The roles that may send it. A service's role is its name."""
    if not issubclass(contract, Command) or contract.SENDER is Sender.SELF:
        return (contract.OWNER,)
    if contract.SENDER is Sender.STAFF:
        return (OPERATOR, *contract.ASKED_BY)
    return (CLIENT, *contract.ASKED_BY)


def may_send(user: str, contract: type[Message], names: TopologyNames) -> bool:
    """Whether the broker user may send it.

    `client.<name>` may send what clients may; the broker narrows it further.
    """
    allowed = senders(contract)
    if user in allowed and user != CLIENT:
        return True
    return CLIENT in allowed and names.is_client(user)


def exactly(contracts: Iterable[type[Message]]) -> str:
    """A routing key pattern that matches these wire types and nothing else."""
    types = "|".join(contract.TYPE.replace(".", "[.]") for contract in contracts)
    return f"^({types})$" if types else "^$"
