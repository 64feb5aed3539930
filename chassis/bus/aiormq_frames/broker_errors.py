"""Describes broker errors in plain language; the libraries only provide exception names."""

import re
import socket
import ssl

from aiormq.exceptions import AuthenticationError, InvalidFrameError, ProbableAuthenticationError

LOGIN_REFUSED = "it refuses the user or the password"
NO_VHOST = "it has no such virtual host, or the user may not enter it"


_REFUSED = re.compile(
    r"ACCESS_REFUSED - (?:(?P<kind>write|read|configure) )?access to "
    r"(?P<what>\w+ '[^']*'(?: in exchange '[^']*')?)"
    r" in vhost '[^']*' refused for user '(?P<user>[^']*)'"
)
_RIGHTS = {
    "write": "the right to write to",
    "read": "the right to read from",
    "configure": "the right to configure",
}


def missing_right(text: str, attempted: str) -> str:
    """The right whose lack the broker reports with ACCESS_REFUSED, as a clause; empty for another error.

    `attempted`: write, read or configure. Older versions of RabbitMQ do not name it.
    """
    refused = _REFUSED.search(text)
    if refused is None:
        return ""
    return f"user {refused['user']!r} lacks {_RIGHTS[refused['kind'] or attempted]} {refused['what']}"


def describe(error: BaseException) -> str:
    """One clause that describes the error, with the broker as its subject."""
    causes = [error, *([error.__cause__] if error.__cause__ else [])]
    if any(isinstance(each, ProbableAuthenticationError | AuthenticationError) for each in causes):
        return LOGIN_REFUSED
    text = str(error)
    if "vhost" in text or (isinstance(error, InvalidFrameError) and "Connection.OpenOk" in text):
        return NO_VHOST  # the broker closes the connection instead of opening the virtual host
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return f"no safe connection to it can be made: {text}"
    if any(isinstance(each, socket.gaierror) for each in causes) or "Name or service" in text:
        return "its host name is not known"
    if any(isinstance(each, ConnectionRefusedError) for each in causes):
        return "nothing listens there"
    if any(isinstance(each, ConnectionError | StopAsyncIteration) for each in causes):
        return "it closed the connection"
    return "the connection was lost" if not text or "<" in text else text
