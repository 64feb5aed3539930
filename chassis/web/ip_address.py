"""IP addresses of clients: parsing, and the network that counts as one client."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
_IPV6_PREFIX = 64  # the smallest prefix of one subscriber (RFC 6177)


def parse_ip(text: str) -> IPAddress | None:
    """The address; None if the text is none.

    An IPv4-mapped address (`::ffff:192.0.2.1`) becomes the IPv4 address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def network_of(address: IPAddress, *, ipv4_prefix: int) -> str:
    """The network that counts as one client: for IPv6 always a /64."""
    prefix = ipv4_prefix if isinstance(address, IPv4Address) else _IPV6_PREFIX
    return str(ip_network((address, prefix), strict=False))
