"""TLS settings of our HTTP clients: the system's trust store, or the file that SSL_CERT_FILE names."""

import functools
import os
import ssl
from pathlib import Path

import httpx

from chassis.tls import FollowingContext


@functools.cache
def tls() -> ssl.SSLContext:
    """One context shared by all clients of this process, as httpx advises ("SSL",
    "Configuring client instances"): creating one takes about 30 ms. It follows the file SSL_CERT_FILE.
    """
    if not (named := os.environ.get("SSL_CERT_FILE")):
        return httpx.create_ssl_context()
    return FollowingContext(ssl.PROTOCOL_TLS_CLIENT, httpx.create_ssl_context, [Path(named)])
