"""TLS settings of our HTTP clients: the system's trust store. Creating a context takes about 30 ms."""

import functools
import ssl

import httpx


@functools.cache
def tls() -> ssl.SSLContext:
    """One context shared by all clients of this process, as httpx advises ("SSL",
    "Configuring client instances").
    """
    return httpx.create_ssl_context()
