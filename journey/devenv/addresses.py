"""Loopback ports of a shop's processes: the default ports where they are free."""

from collections.abc import Collection

from journey.admin.endpoints import GATEWAY
from journey.admin.registry import PORTS, SHOP_PORT
from journey.devenv.infra import ports


def of_all(usual: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Internal addresses of all processes, and the gateway's public one.

    `usual=False` (tests): random free ports.
    """
    wanted = {**PORTS, "": SHOP_PORT}
    others = ports.free_ports(len(wanted))
    chosen = {
        name: local(port if usual and ports.is_free(port) else other)
        for (name, port), other in zip(wanted.items(), others, strict=True)
    }
    return {name: chosen[name] for name in PORTS}, {GATEWAY: chosen[""]}


def another(taken: Collection[str]) -> str:
    """One more free address outside `taken`: the processes of these may not be listening yet."""
    return next(address for port in ports.free_ports(len(taken) + 1) if (address := local(port)) not in taken)


def local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def port_of(address: str) -> str:
    return address.rpartition(":")[2]
