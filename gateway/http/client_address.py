"""The address of the client behind trusted reverse proxies, from `X-Forwarded-For`.

Each proxy appends the address of its peer, to the header or as a header of its own. Only entries of trusted
proxies count, so the list is read from the right up to the first hop that is not trusted.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from chassis.web.ip_address import IPAddress, network_of, parse_ip

Network = IPv4Network | IPv6Network


def client_address(forwarded_for: str, peer: str, trusted: Sequence[Network]) -> str:
    """`forwarded_for`: all values of the header, joined by commas.

    `peer`: the address that opened the connection.

    If a hop is not an address (some proxies write `unknown`), returns the address of the proxy that wrote it.
    """
    address = parse_hop(peer)
    if address is None:
        return peer
    for hop in reversed(forwarded_for.split(",")):
        if not any(address in network for network in trusted):
            break
        if (before := parse_hop(hop)) is None:
            break
        address = before
    return str(address)


def parse_hop(hop: str) -> IPAddress | None:
    """`192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:443`, `::ffff:192.0.2.1`;
    None for anything else.
    """
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return parse_ip(text.partition("%")[0])


def rate_limit_key(address: str) -> str:
    """The key of a client's rate limit: its IPv4 address, or its IPv6 network."""
    parsed = parse_hop(address)
    return address if parsed is None else network_of(parsed, ipv4_prefix=32)
