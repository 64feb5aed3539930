"""Every failure that an operator can meet, as two sentences: the cause, and what helps."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from chassis.bus.broker_errors import LOGIN_REFUSED, NO_VHOST
from chassis.bus.protocol import BusUnavailable, PublishingBlocked, QueueMissing, Unroutable
from chassis.store.protocol import StoreRefused, StoreUnavailable
from journey.admin.broker.management import AdminUnavailable
from journey.admin.endpoints import ShopEndpoints
from journey.client import NotSent
from journey.infra.model import InfrastructureUnavailable

ROOM = "make room at the broker (`rabbitmqctl status` shows its limits); nothing is lost, then try again"
_UP = "`journey up` starts what does not run"
_BROKER_HELPS = {
    LOGIN_REFUSED: "`journey up` gives the shop's users their passwords again; the operator's is in RABBITMQ_URL",
    NO_VHOST: "`journey up` makes it, and the topology in it",
}
_DISK = "make room on the disk that holds it, then start again; nothing that was confirmed is lost"
_RIGHT = "give this user the right to read and write it, or name another directory in JOURNEY_HOME"
_FILES = {
    errno.ENOSPC: ("the disk is full", _DISK),
    errno.EDQUOT: ("the disk quota is used up", _DISK),
    errno.EROFS: ("the disk is mounted read-only", _RIGHT),
    errno.EACCES: ("a file cannot be read or written", _RIGHT),
}
_DATABASE = "see that MongoDB runs, has a primary and room on its disk; the services go on by themselves then"


@dataclass(frozen=True)
class Failure:
    cause: str
    helps: str

    def __str__(self) -> str:
        return f"{self.cause}\n  what helps: {self.helps}"


def failure_of(error: BaseException, endpoints: ShopEndpoints | None) -> Failure | None:
    """None if it is none of those that we know: then it is a fault of our own."""
    match error:
        case InfrastructureUnavailable() | AdminUnavailable():
            return Failure(error.reason, error.remedy)
        case NotSent(cause=cause):
            known = failure_of(cause, endpoints)
            return known or Failure(f"the command was not sent: {cause}", error.remedy)
        case PublishingBlocked():
            return Failure(str(error), ROOM)
        case BusUnavailable():
            helps = next((helps for words, helps in _BROKER_HELPS.items() if words in str(error)), None)
            return Failure(f"the broker{_at(endpoints)} cannot be used: {error}", helps or f"see that it runs: {_UP}")
        case Unroutable() | QueueMissing():
            return Failure(f"the broker refuses it: {error}", "`journey topology plan`, then `journey topology apply`")
        case StoreUnavailable() | StoreRefused():
            return Failure(f"the database cannot be used: {error}", _DATABASE)
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
    """Name -> address of all that is asked over HTTP."""
    return {**endpoints.http, "the mailbox": endpoints.mailbox_url.rstrip("/")}


def _at(endpoints: ShopEndpoints | None) -> str:
    return "" if endpoints is None else f" at {urlsplit(endpoints.amqp_base).netloc.rpartition('@')[2]}"


def _http(error: httpx.HTTPError, addresses: Mapping[str, str]) -> Failure:
    name, address = _asked(error, addresses)
    match error:
        case httpx.HTTPStatusError(response=response):
            said = problem_in(response)
            database = response.status_code == httpx.codes.SERVICE_UNAVAILABLE and "database" in said.lower()
            helps = _DATABASE if database else f"see the log of {name}"
            return Failure(f"{name} at {address} answers {response.status_code}: {said}", helps)
        case httpx.ConnectError():
            return Failure(f"{name} does not answer at {address}: nothing listens there", _UP)
        case httpx.TimeoutException():
            helps = f"it is stopped, overloaded, or waits for its database: see its log, and `curl {address}/readyz`"
            return Failure(f"{name} at {address} gives no answer in time", helps)
        case _:
            return Failure(f"{name} at {address} broke off its answer", f"try again; see the log of {name}; {_UP}")


def _asked(error: httpx.HTTPError, addresses: Mapping[str, str]) -> tuple[str, str]:
    """Who was asked, by name, and where."""
    try:
        url = error.request.url
    except RuntimeError:
        return "a service", "an address of the shop"
    asked = f"{url.scheme}://{url.netloc.decode()}"
    return next((name for name, address in addresses.items() if address == asked), "the server"), asked


def problem_in(response: httpx.Response) -> str:
    """What a service says is wrong, by its own words."""
    try:
        problem = response.json()
        return ": ".join(filter(None, (str(problem["title"]), str(problem.get("detail", "")))))
    except (ValueError, KeyError, TypeError, AttributeError, httpx.ResponseNotRead):
        return "not as a service does"
