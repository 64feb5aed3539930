"""The problem types of the gateway (RFC 9457), each with its meaning and its remedy.

API clients get problem details, whose `type` links to a page with this text. Browsers get an error page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from chassis.web import request_context
from chassis.web.problems import Problem, WrongField

REDUCED_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


@dataclass(frozen=True)
class ProblemType:
    """`status`: the usual HTTP status. `meaning` and `remedy`: full sentences for the page of the problem."""

    status: int
    title: str
    meaning: str
    remedy: str


PROBLEM_TYPES: dict[str, ProblemType] = {
    "malformed": ProblemType(
        400,
        "Malformed request",
        "The request could not be parsed.",
        "Send JSON as application/json. Do not repeat a key within an object.",
    ),
    "key-missing": ProblemType(
        400,
        "Missing Idempotency-Key",
        "This request must not run twice. Without an Idempotency-Key we could not tell a retry from a "
        "new request.",
        "Choose an Idempotency-Key of up to 255 characters, and send the same key with every retry.",
    ),
    "log-in": ProblemType(
        401,
        "Not logged in",
        "The request has no access token and no session, or they are no longer valid.",
        "Log in with POST /api/v1/sessions, and send the access token as Authorization: Bearer.",
    ),
    "wrong-log-in": ProblemType(
        401,
        "Invalid credentials",
        "The e-mail address, the password, the link or the token is wrong or no longer valid.",
        "Check your input, or request a new link. For security, the response does not say which part is "
        "wrong.",
    ),
    "address-not-proved": ProblemType(
        403,
        "E-mail address not verified",
        "The account exists, but its e-mail address has not been verified yet.",
        "Follow the link in the e-mail that we sent, or request a new one with POST /api/v1/proof-requests.",
    ),
    "wrong-password": ProblemType(
        403,
        "Wrong password",
        "This action requires the account's password, and the password that was sent is wrong.",
        "Send your current password. If you have forgotten it, reset it with POST /api/v1/password-resets.",
    ),
    "link-not-valid": ProblemType(
        401,
        "Link not valid",
        "The link from the e-mail has expired, was already used, or is outdated because the account has "
        "changed; or the password that was sent with it is wrong.",
        "Request a new link with POST /api/v1/proof-requests or POST /api/v1/password-resets.",
    ),
    "cross-site": ProblemType(
        403,
        "Cross-site request",
        "A page of another site sent this request with your cookies, or the browser did not state its "
        "origin.",
        "Use the shop's own pages. API clients send an access token and no cookies.",
    ),
    "not-allowed": ProblemType(
        403,
        "Not allowed",
        "Your account does not have permission to do this.",
        "Log in with an account that has the permission.",
    ),
    "not-found": ProblemType(
        404,
        "Not found",
        "The resource does not exist, or you are not allowed to see it.",
        "Check the address. Log in to see your own orders and your account.",
    ),
    "method": ProblemType(
        405,
        "Method not allowed",
        "This resource does not support the HTTP method.",
        "See the Allow header or /openapi.json.",
    ),
    "not-acceptable": ProblemType(
        406,
        "Not acceptable",
        "The resource is not available in any media type that the Accept header allows.",
        "Accept a media type that /openapi.json lists, or send no Accept header.",
    ),
    "too-late": ProblemType(
        409,
        "Too late",
        "The order has ended or has been dispatched, so it can no longer be cancelled.",
        "Read the order: its journey shows what has happened.",
    ),
    "conflict": ProblemType(
        409,
        "Conflict",
        "The request conflicts with the current state of the resource.",
        "Read the resource again, and send a request that fits its current state.",
    ),
    "changed": ProblemType(
        412,
        "Changed since you read it",
        "The resource has changed since you read it.",
        "Read the resource again, and send its new ETag as If-Match.",
    ),
    "too-large": ProblemType(
        413,
        "Too large",
        "The request body exceeds 64 KiB.",
        "Send a body of at most 64 KiB.",
    ),
    "media-type": ProblemType(
        415,
        "Unsupported media type",
        "The media type of the request body is not supported.",
        "Send JSON as application/json.",
    ),
    "not-valid": ProblemType(
        422,
        "Not valid",
        "One or more fields are missing, unknown or invalid. `errors` points to each of them.",
        "Correct these fields. The response does not repeat the values that you sent.",
    ),
    "key-reused": ProblemType(
        422,
        "Idempotency-Key reused",
        "You have already used this key for a different request.",
        "Choose a new key for each new request, and repeat a key only to retry the same request.",
    ),
    "if-match-missing": ProblemType(
        428,
        "Missing If-Match",
        "Without an If-Match header your change could overwrite a concurrent change.",
        "Send the ETag of the version that you read as If-Match.",
    ),
    "too-many": ProblemType(
        429,
        "Too many requests",
        "You have exceeded a rate limit.",
        "Wait for the time that Retry-After states, and send the request again.",
    ),
    "failed": ProblemType(
        500,
        "Internal error",
        "The shop failed to process the request. Our logs have the details under the request id.",
        "Try again later. Retry a request that has an Idempotency-Key with the same key.",
    ),
    "away": ProblemType(
        503,
        "Service unavailable",
        "A service that this request needs is not responding.",
        "Try again after the time that Retry-After states. Retrying the same request is safe.",
    ),
    "not-taken": ProblemType(
        503,
        "Request not confirmed",
        "The message broker did not confirm the request. It may still be processed, but at most once.",
        "After the time that Retry-After states, retry with the same Idempotency-Key: the request takes "
        "effect once.",
    ),
}

# The default problem type of each status: the first in the table, except where a later one is more general.
_BY_STATUS = {problem_type.status: name for name, problem_type in reversed(PROBLEM_TYPES.items())} | {
    403: "not-allowed",
    409: "conflict",
}


class ProblemError(HTTPException):
    """An HTTP error with a problem type.

    `name`: its key in PROBLEM_TYPES. `problem`: complete details instead.

    `extensions`: extension members of the problem details (RFC 9457, section 3.2).
    """

    def __init__(
        self,
        name: str = "",
        detail: str = "",
        *,
        errors: Sequence[WrongField] = (),
        headers: Mapping[str, str] = {},
        problem: Problem | None = None,
        extensions: Mapping[str, Any] = {},
    ) -> None:
        self.extensions = extensions
        self.problem = problem or make_problem(name, detail, errors=list(errors))
        super().__init__(self.problem.status, self.problem.detail, dict(headers))


def make_problem(name: str, detail: str = "", **given: Any) -> Problem:
    problem_type = PROBLEM_TYPES[name]
    filled: dict[str, Any] = {
        "type": f"/problems/{name}",
        "title": problem_type.title,
        "status": problem_type.status,
    }
    filled |= {"detail": detail or problem_type.remedy, "instance": request_context.current().request_id}
    return Problem(**(filled | given))


def problem_for_status(status: int) -> Problem:
    """The default problem of an HTTP status."""
    return make_problem(_BY_STATUS.get(status, "malformed" if status < 500 else "failed"), status=status)


def prefers_html(request: Request) -> bool:
    """Whether to respond with an HTML page: the path is not under /api/, and the client accepts HTML."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
