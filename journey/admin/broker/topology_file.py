"""The shop's topology as a file, for a program that contains no code of the services.

`make documents` writes topology.json from the service definitions. The operator's image holds this file
instead of the definitions.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chassis.bus.retry_ladder import Rung
from chassis.bus.topology_model import Binding, BrokerUser, Policy, Queue, Topology
from chassis.messaging.catalog import Catalog
from contracts.catalog import CATALOG

FILE = Path(__file__).with_name("topology.json")
_PARTS = ("queues", "bindings", "policies", "users", "ladder")


def text_of(topology: Topology) -> str:
    """The content of the file: everything but the catalog, which belongs to the contracts."""
    parts = {part: [asdict(each) for each in getattr(topology, part)] for part in _PARTS}
    return json.dumps({"exchanges": topology.exchanges, **parts}, indent=1, ensure_ascii=False) + "\n"


def stored_topology(file: Path = FILE, catalog: Catalog = CATALOG) -> Topology:
    content: Mapping[str, Any] = json.loads(file.read_text())
    return Topology(
        catalog=catalog,
        exchanges=tuple(content["exchanges"]),
        queues=tuple(Queue(**each) for each in content["queues"]),
        bindings=tuple(Binding(**each) for each in content["bindings"]),
        policies=tuple(Policy(**each) for each in content["policies"]),
        users=tuple(BrokerUser(**each) for each in content["users"]),
        ladder=tuple(Rung(**each) for each in content["ladder"]),
    )
