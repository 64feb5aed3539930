"""URLs of brokers and databases: passwords from files, TLS options, and passwords that are public."""

import re
from urllib.parse import parse_qsl, quote, unquote, urlsplit

# Passwords of tutorials and of default installations. Programs that search networks try them first.
PUBLIC_PASSWORDS = frozenset(
    {"admin", "change-me", "changeme", "example", "guest", "password", "rabbitmq", "root", "test"}
)


def with_password(url: str, password: str) -> str:
    """The URL with this password instead of its own. Raises ValueError if the URL names no user."""
    scheme, user, _, rest = _parts(url)
    if not user:
        raise ValueError("the URL names no user; it must, before the host: user@host")
    return f"{scheme}://{user}:{quote(password, safe='')}@{rest}"


def without_password(url: str) -> str:
    """The URL with the user, but without the password."""
    scheme, user, _, rest = _parts(url)
    return f"{scheme}://{user}@{rest}" if user else f"{scheme}://{rest}"


def user_of(url: str) -> str:
    """The user that the URL names; empty if it names none. The host part may list several hosts."""
    return unquote(_parts(url)[1])


def password_of(url: str) -> str:
    """The password in the URL; empty if it has none."""
    return unquote(_parts(url)[2])


def _parts(url: str) -> tuple[str, str, str, str]:
    """Scheme, user, password, and everything from the host on. User and password are still encoded.

    An `@` after the hosts is no end of the user: `?` begins the options of MongoDB also without a `/`.
    """
    scheme, _, rest = url.partition("://")
    hosts = re.match("[^/?]*", rest)
    login, at, _ = (hosts[0] if hosts else "").rpartition("@")
    user, _, password = login.partition(":")
    return scheme, user, password, rest[len(login) + len(at) :]


def is_public(user: str, password: str) -> bool:
    """Whether an attacker would guess the password: it is a known default, or the name of the user."""
    return password.lower() in PUBLIC_PASSWORDS or (bool(password) and password == user)


def with_option(url: str, name: str, value: str) -> str:
    """The URL with one more option in its query. An option that is there already stays."""
    base, _, query = url.partition("?")
    if name.lower() in {key.lower() for key, _ in parse_qsl(query)}:
        return url
    base = base if "/" in base.partition("://")[2] else f"{base}/"
    return f"{base}?{query}{'&' if query else ''}{name}={quote(value, safe='')}"


def option_of(url: str, name: str) -> str:
    """The value of an option in the URL's query, whatever the case of its name; empty if it has none."""
    options = {key.lower(): value for key, value in parse_qsl(url.partition("?")[2])}
    return options.get(name.lower(), "")


def uses_tls(url: str) -> bool:
    """Whether a connection to this address is encrypted from its first byte (AMQP, MongoDB, HTTP, SMTP)."""
    scheme = urlsplit(url).scheme
    if not scheme.startswith("mongodb"):
        return scheme in ("amqps", "https", "smtps")
    options = {key.lower(): value.lower() for key, value in parse_qsl(url.partition("?")[2])}
    return options.get("tls", options.get("ssl", str(scheme == "mongodb+srv").lower())) == "true"
