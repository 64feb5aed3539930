"""Which user may send which message, as Markdown: from the contracts, the services and the topology."""

from chassis.bus.topology_model import BrokerUser, Topology
from chassis.messaging.message import Command
from chassis.messaging.senders import OPERATOR, senders
from contracts.catalog import CATALOG
from journey.admin.registry import CONSUMING_SERVICES, shop_topology
from tests.support.decision_tables import markdown


def senders_table() -> str:
    """One row per type."""
    hearing = {name: make().by_type for name, make in CONSUMING_SERVICES.items()}
    rows = []
    for type_, contract in sorted(CATALOG.items()):
        kind = "command" if issubclass(contract, Command) else "event"
        handled_type = [name for name, handled_type in hearing.items() if contract in handled_type]
        handled_type += ["client programs"] * (contract in CATALOG.read_by_clients())
        rows.append((f"`{type_}`", kind, ", ".join(map(_called, senders(contract))), ", ".join(handled_type)))
    return markdown(("Type", "is a", "sent by", "consumed by"), rows)


def users_table(topology: Topology | None = None) -> str:
    """One row per broker user."""
    rows = [_row(user) for user in (topology or shop_topology()).users]
    return markdown(("Broker user", "declares", "publishes to", "of these types", "reads"), rows)


def _row(user: BrokerUser) -> tuple[str, ...]:
    types = ", ".join(f"`{contract.TYPE}`" for contract in CATALOG.sent_by(CATALOG.role_of(user.name)))
    return (f"`{user.name}`", _pattern(user.configure), _pattern(user.write), types, _pattern(user.read))


def _pattern(pattern: str) -> str:
    return "" if pattern == "^$" else f"`{pattern}`".replace("|", "\\|")


def _called(role: str) -> str:
    return f"staff, as `{OPERATOR}`" if role == OPERATOR else role
