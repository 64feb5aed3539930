"""Free loopback ports, chosen below the range from which the kernel takes ports for outgoing connections.

A server that comes back after a crash then finds its port still free.
"""

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this too; without it a port looks taken for a minute after its server has ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    chosen: list[int] = []
    for port in random.sample(range(LOWEST, HIGHEST), k=min(2_000, HIGHEST - LOWEST)):
        if len(chosen) == count:
            return chosen
        if is_free(port):
            chosen.append(port)
    raise OSError(f"no {count} free ports between {LOWEST} and {HIGHEST}")
