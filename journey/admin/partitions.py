"""The setting PARTITIONS, as the programs that administer the broker read it."""

import os

from chassis.bus.partitioning import partitioned
from chassis.bus.topology_model import Topology
from chassis.messaging.partitions import parse_partitions


def with_partitions(topology: Topology, text: str | None = None) -> Topology:
    """The topology with the partitions of `text`, by default those of the environment variable PARTITIONS.

    Raises SystemExit with the reason if they cannot be applied.
    """
    text = os.environ.get("PARTITIONS", "") if text is None else text
    try:
        return partitioned(topology, parse_partitions(text))
    except ValueError as error:
        raise SystemExit(f"wrong settings; set this environment variable: PARTITIONS: {error}") from None
