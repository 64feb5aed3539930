"""`python -S -m chassis.healthcheck`: exit code 0 if the service in this container is ready.

It is the health check of the images, which therefore need no shell and no HTTP client. Docker starts it every
few seconds in every container, so it imports little; `-S` skips the installed libraries.
"""

import os
import socket
import sys

TIMEOUT_S = 4.0
_REQUEST = b"GET /readyz HTTP/1.0\r\n\r\n"


def is_ready(port: int, *, tls: bool = False) -> bool:
    """Whether the program that listens on this port of the loopback interface answers /readyz with 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as plain:
            connection = _encrypted(plain) if tls else plain
            connection.sendall(_REQUEST)
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def _encrypted(connection: socket.socket) -> socket.socket:
    """Without verification, as in an `httpGet` probe of Kubernetes: certificates do not name 127.0.0.1."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def main() -> int:
    return (
        0 if is_ready(int(os.environ["HTTP_PORT"]), tls=bool(os.environ.get("TLS_CERTIFICATE_FILE"))) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
