"""Translates exceptions into messages for operators: the cause and the remedy."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from chassis.bus.aiormq_frames.broker_errors import LOGIN_REFUSED, NO_VHOST
from chassis.bus.protocol import AccessRefused, BusUnavailable, PublishingBlocked, QueueMissing, Unroutable
from chassis.store.protocol import StoreRefused, StoreUnavailable
from journey.admin.broker.management import AdminUnavailable
from journey.admin.endpoints import ShopEndpoints
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.client import NotSent, remedy_for

ALARM_REMEDY = (
    "free memory or disk space on the broker (`rabbitmqctl status` shows its limits), then retry; no "
    "message is lost"
)
_UP = "`journey up` starts what is not running"
_BROKER_HELPS = {
    LOGIN_REFUSED: "`journey up` resets the shop's passwords; the operator's is in RABBITMQ_URL",
    NO_VHOST: "`journey up` creates it and applies the topology",
}
_DISK = "free space on that disk, then start again; confirmed messages and writes are not lost"
_RIGHT = "give this user read and write permission, or set JOURNEY_HOME to another directory"
_FILES = {
    errno.ENOSPC: ("the disk is full", _DISK),
    errno.EDQUOT: ("the disk quota is used up", _DISK),
    errno.EROFS: ("the disk is mounted read-only", _RIGHT),
    errno.EACCES: ("a file cannot be read or written", _RIGHT),
}
_DATABASE = "check that MongoDB runs, has a primary and free disk space; the services then recover"

_TOPOLOGY = "run `journey topology plan`, then `journey topology apply`"


@dataclass(frozen=True)
class Failure:
    cause: str
    helps: str

    def __str__(self) -> str:
        return f"{self.cause}\n  what to do: {self.helps}"


def failure_of(error: BaseException, endpoints: ShopEndpoints | None) -> Failure | None:
    """None for an unexpected exception: that is a bug of ours."""
    match error:
        case InfrastructureUnavailable() | AdminUnavailable():
            return Failure(error.reason, error.remedy)
        case NotSent(cause=cause):
            known = failure_of(cause, endpoints)
            return known or Failure(f"the command was not sent: {cause}", error.remedy)
        case PublishingBlocked():
            return Failure(str(error), ALARM_REMEDY)
        case BusUnavailable():
            helps = next((helps for phrase, helps in _BROKER_HELPS.items() if phrase in str(error)), None)
            return Failure(
                f"the broker{_at(endpoints)} is unavailable: {error}",
                helps or f"check that it is running: {_UP}",
            )
        case Unroutable() | QueueMissing():
            return Failure(
                f"the broker rejected it: {error}",
                remedy_for(error) if isinstance(error, AccessRefused) else _TOPOLOGY,
            )
        case StoreUnavailable() | StoreRefused():
            return Failure(f"the database is unavailable: {error}", _DATABASE)
        case ExceptionGroup(exceptions=several):
            return next(filter(None, (failure_of(each, endpoints) for each in several)), None)
        case OSError(errno=number) if number in _FILES:
            what, helps = _FILES[number]
            return Failure(f"{what}: {error.filename or 'a file of the shop'}", helps)
        case httpx.HTTPError():
            return _http(error, _addresses(endpoints) if endpoints is not None else {})
        case _:
            return None


def _addresses(endpoints: ShopEndpoints) -> dict[str, str]:
    """Name -> base URL of every HTTP endpoint."""
    return {**endpoints.http, "the mailbox": endpoints.mailbox_url.rstrip("/")}


def _at(endpoints: ShopEndpoints | None) -> str:
    return "" if endpoints is None else f" at {urlsplit(endpoints.amqp_base).netloc.rpartition('@')[2]}"


def _http(error: httpx.HTTPError, addresses: Mapping[str, str]) -> Failure:
    name, address = _asked(error, addresses)
    match error:
        case httpx.HTTPStatusError(response=response):
            problem = problem_in(response)
            database = (
                response.status_code == httpx.codes.SERVICE_UNAVAILABLE and "database" in problem.lower()
            )
            helps = _DATABASE if database else f"check the log of {name}"
            return Failure(f"{name} at {address} responded with {response.status_code}: {problem}", helps)
        case httpx.ConnectError():
            return Failure(f"{name} does not respond at {address}: nothing listens there", _UP)
        case httpx.TimeoutException():
            helps = (
                "it is stopped, overloaded, or waits for its database: see its log and `curl "
                f"{address}/readyz`"
            )
            return Failure(f"{name} at {address} did not respond in time", helps)
        case _:
            return Failure(
                f"{name} at {address} closed the connection early", f"retry; check the log of {name}; {_UP}"
            )


def _asked(error: httpx.HTTPError, addresses: Mapping[str, str]) -> tuple[str, str]:
    """Name and base URL of the server that the failed request went to."""
    try:
        url = error.request.url
    except RuntimeError:
        return "a service", "an address of the shop"
    asked = f"{url.scheme}://{url.netloc.decode()}"
    return next((name for name, address in addresses.items() if address == asked), "the server"), asked


def problem_in(response: httpx.Response) -> str:
    """Title and detail of the problem in a service's error response (RFC 9457)."""
    try:
        problem = response.json()
        return ": ".join(filter(None, (str(problem["title"]), str(problem.get("detail", "")))))
    except (ValueError, KeyError, TypeError, AttributeError, httpx.ResponseNotRead):
        return "the response is not a problem document"
