"""The TLS context of the clients of other programs: it verifies the certificate and the host name."""

import functools
import ssl
from pathlib import Path


@functools.cache
def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """`ca_file`: the only authorities trusted, in PEM; by default those of the system.

    Cached, because creating a context takes about 30 ms. Raises OSError or ssl.SSLError if the file is unfit.
    """
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
