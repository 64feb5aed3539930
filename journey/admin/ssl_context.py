"""How we trust who answers by HTTPS: as the machine does. Making a context reads all its certificates, in 30 ms."""

import functools
import ssl

import httpx


@functools.cache
def tls() -> ssl.SSLContext:
    """One for all clients of this process, as httpx advises ("SSL", "Configuring client instances")."""
    return httpx.create_ssl_context()
