"""The service map: message flows, derived from the service definitions, and the position of each service.

The flows follow from the definitions, so the map shows no flow that does not exist. Positions are chosen in
GRID; a service without one is placed in a row below.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count

from chassis.messaging.message import Command, Message, Sender
from journey.admin.registry import CONSUMING_SERVICES

WIDTH = 1180
NODE_WIDTH, NODE_HEIGHT = 204, 112
GATEWAY = "gateway"
_COLUMNS, _ROW_HEIGHT = (0, 324, 648, 976), 208
GRID = {
    "product_svc": (0, 0),
    "inventory_svc": (2, 0),
    GATEWAY: (0, 1),
    "order_svc": (1, 1),
    "notification_svc": (3, 1),
    "user_svc": (0, 2),
    "payment_svc": (2, 2),
}
# Below the chosen positions, in the order in which fewest arrows pass through other services.
_SPARE_ROWS, _SPARE_COLUMNS = 3, (1, 0, 2, 3)
_LABEL_AT = 0.4
_OFFSET = 14  # half the distance between the two arrows of services that exchange messages in both directions


@dataclass(frozen=True)
class MessageFlow:
    """`publisher` emits these messages, and `consumer` handles them.

    `types`: the names of their classes; `wire_types`: their types on the wire, in the same order.
    """

    publisher: str
    consumer: str
    types: tuple[str, ...]
    wire_types: tuple[str, ...]


@cache
def message_flows() -> tuple[MessageFlow, ...]:
    """All message flows between two services.

    A service's commands to itself are not a flow. The staff's commands come from operations.
    """
    found: dict[tuple[str, str], list[type[Message]]] = {}
    for name, make in CONSUMING_SERVICES.items():
        for message_type in make().by_type:
            for publisher in _publishers(message_type):
                if publisher != name:
                    found.setdefault((publisher, name), []).append(message_type)
    return tuple(
        MessageFlow(
            publisher, consumer, tuple(each.__name__ for each in types), tuple(each.TYPE for each in types)
        )
        for (publisher, consumer), types in sorted(found.items(), key=lambda item: item[0])
    )


def _publishers(message_type: type[Message]) -> Iterator[str]:
    if not issubclass(message_type, Command):
        yield message_type.OWNER
    elif message_type.SENDER is Sender.CLIENT:
        yield from (name for name, make in CONSUMING_SERVICES.items() if message_type in make().sends)


@dataclass(frozen=True)
class Node:
    """The position of a service."""

    name: str
    x: int
    y: int

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + NODE_WIDTH / 2, self.y + NODE_HEIGHT / 2


@dataclass(frozen=True)
class Edge:
    """A message flow, drawn from the border of one node to the border of another."""

    flow: MessageFlow
    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def label(self) -> tuple[float, float]:
        """Where the rate stands: nearer to the start, away from the label of the flow back."""
        (x1, y1), (x2, y2) = self.start, self.end
        return x1 + (x2 - x1) * _LABEL_AT, y1 + (y2 - y1) * _LABEL_AT

    @property
    def path(self) -> str:
        (x1, y1), (x2, y2) = self.start, self.end
        return f"M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}"


def nodes() -> list[Node]:
    spare = ((column, row) for row in count(_SPARE_ROWS) for column in _SPARE_COLUMNS)
    grid = {name: GRID.get(name) or next(spare) for name in CONSUMING_SERVICES}
    return [Node(name, _COLUMNS[column] + 1, row * _ROW_HEIGHT + 1) for name, (column, row) in grid.items()]


def height() -> int:
    """The height of the whole map."""
    return max(node.y for node in nodes()) + NODE_HEIGHT - 1


def edges() -> list[Edge]:
    """All flows except those to the gateway, which consumes every order's events:
    they would hide the rest.
    """
    node_of = {node.name: node for node in nodes()}
    return [
        _edge_of(flow, node_of[flow.publisher], node_of[flow.consumer])
        for flow in message_flows()
        if flow.consumer != GATEWAY
    ]


def _edge_of(flow: MessageFlow, start: Node, end: Node) -> Edge:
    (x1, y1), (x2, y2) = start.middle, end.middle
    length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    aside = (-(y2 - y1) / length * _OFFSET, (x2 - x1) / length * _OFFSET)
    x1, y1, x2, y2 = x1 + aside[0], y1 + aside[1], x2 + aside[0], y2 + aside[1]
    return Edge(flow, _border_point(start, x1, y1, x2, y2), _border_point(end, x2, y2, x1, y1))


def _border_point(node: Node, x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    """The point where a line from inside a node crosses its border."""
    dx, dy = to_x - x, to_y - y
    reach = [((node.x + (NODE_WIDTH if dx > 0 else 0)) - x) / dx] if dx else []
    reach += [((node.y + (NODE_HEIGHT if dy > 0 else 0)) - y) / dy] if dy else []
    share = min(reach)
    return x + dx * share, y + dy * share
