"""Finds free loopback ports below the range from which the kernel takes ports for outgoing connections.

A server that restarts after a crash then finds its port still free. `JOURNEY_PORTS=20000-32000` sets another
range; processes that start servers at the same time must use separate ranges.
"""

import os
import random
import socket

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable

RANGE = "JOURNEY_PORTS"
LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this, too; without it, a port looks taken for a minute after its server has ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def port_range() -> range:
    """The ports to choose from. Raises InfrastructureUnavailable if JOURNEY_PORTS is not a valid range."""
    configured = os.environ.get(RANGE)
    if not configured:
        return range(LOWEST, HIGHEST)
    lowest, _, highest = configured.partition("-")
    if not (lowest.isdecimal() and highest.isdecimal() and 0 < int(lowest) < int(highest) <= 65_536):
        raise InfrastructureUnavailable(
            f"{RANGE}={configured!r} is not a range of ports",
            f"write it as {RANGE}={LOWEST}-{HIGHEST}, or unset it",
        )
    return range(int(lowest), int(highest))


def free_ports(count: int) -> list[int]:
    """`count` free ports. Raises InfrastructureUnavailable if the range has too few."""
    candidates = port_range()
    chosen: list[int] = []
    for port in random.sample(candidates, k=min(2_000, len(candidates))):
        if len(chosen) == count:
            break
        if is_free(port):
            chosen.append(port)
    if len(chosen) < count:
        raise InfrastructureUnavailable(
            f"fewer than {count} ports are free between {candidates.start} and {candidates.stop}",
            f"end programs that use them, or set {RANGE} to another range",
        )
    return chosen
