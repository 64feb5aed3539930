"""Infrastructure addresses from environment variables; incomplete or invalid ones are an error."""

import os
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit, urlunsplit

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra import ready
from journey.devenv.infra.model import KINDS, Infrastructure, Kind, masked

NEEDED = ("RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL", "MONGO_URL")
MAIL = ("SMTP_URL", "MAILBOX_URL")
SCHEMES = {
    "RABBITMQ_URL": ("amqp", "amqps"),
    "RABBITMQ_MANAGEMENT_URL": ("http", "https"),
    "MONGO_URL": ("mongodb", "mongodb+srv"),
    "SMTP_URL": ("smtp",),
    "MAILBOX_URL": ("http", "https"),
}


def forced_kind(environ: Mapping[str, str] = os.environ) -> Kind | None:
    wanted = environ.get("JOURNEY_INFRA", "").strip()
    if not wanted:
        return None
    for kind in KINDS:
        if kind == wanted:
            return kind
    raise InfrastructureUnavailable(
        f"JOURNEY_INFRA={wanted} is unknown", f"unset it, or set one of {', '.join(KINDS)}"
    )


def names_any(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether any address is set; setting only some of them is then an error,
    not a reason to use other sources.
    """
    return any(environ.get(name) for name in NEEDED)


def names_any_mail(environ: Mapping[str, str] = os.environ) -> bool:
    return any(environ.get(name) for name in MAIL)


def from_environment(environ: Mapping[str, str] = os.environ) -> Infrastructure:
    """The addresses of NEEDED and MAIL.

    Mail addresses are empty if unset: the caller then starts a mailbox.
    """
    _require(NEEDED, environ, "set all three, or unset all to start local ones")
    if names_any_mail(environ):
        _require(MAIL, environ, "set both, or unset both to start a mailbox")
    given = {name: environ.get(name, "") for name in (*NEEDED, *MAIL)}
    for name, url in given.items():
        if url and urlsplit(url).scheme not in SCHEMES[name]:
            raise InfrastructureUnavailable(
                f"{name} has the wrong scheme: {masked(url)}",
                f"it must begin with {' or '.join(scheme + '://' for scheme in SCHEMES[name])}",
            )
    amqp_url = _without_virtual_host(given["RABBITMQ_URL"])
    host = urlsplit(amqp_url).hostname
    return Infrastructure(
        kind="environment",
        amqp_url=amqp_url,
        management_url=given["RABBITMQ_MANAGEMENT_URL"].rstrip("/"),
        mongo_url=given["MONGO_URL"],
        smtp_url=given["SMTP_URL"],
        mailbox_url=given["MAILBOX_URL"].rstrip("/"),
        said=f"Using the RabbitMQ on {host} and the MongoDB from the environment.",
    )


async def require_responses(found: Infrastructure) -> None:
    """Connect to each address, so that a typing error shows here and not as a timeout later."""
    checks = {
        "RABBITMQ_URL": (found.amqp_url, await ready.amqp_refuses(found.amqp_url)),
        "RABBITMQ_MANAGEMENT_URL": (
            found.management_url,
            await ready.management_refuses(found.management_url),
        ),
        "MONGO_URL": (found.mongo_url, await ready.mongo_refuses(found.mongo_url)),
    }
    for name, (url, why) in checks.items():
        if why is not None:
            raise InfrastructureUnavailable(
                f"{name} ({masked(url)}) cannot be used: {why}",
                f"correct {name}, or unset {', '.join(NEEDED)} to start local ones",
            )


def _require(names: tuple[str, ...], environ: Mapping[str, str], remedy: str) -> None:
    missing = [name for name in names if not environ.get(name)]
    if missing:
        given = [name for name in (*NEEDED, *MAIL) if environ.get(name)]
        so_far = f"; given: {', '.join(given)}" if given else ""
        raise InfrastructureUnavailable(f"{' and '.join(missing)} not set{so_far}", remedy)


def _without_virtual_host(url: str) -> str:
    """The URL without its path: the shop creates its own virtual host,
    and needs a user with that permission.
    """
    parts = urlsplit(url)
    if parts.path not in ("", "/") and parts.path.lower() != "/%2f":
        raise InfrastructureUnavailable(
            f"RABBITMQ_URL contains the virtual host {parts.path[1:]}", "remove it: the shop creates its own"
        )
    if "no_verify_ssl" in parse_qs(parts.query):
        raise InfrastructureUnavailable(
            "RABBITMQ_URL disables certificate verification",
            "set your own certificate authority with cafile=...",
        )
    return urlunsplit(parts._replace(path=""))
