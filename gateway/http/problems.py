"""The problem types of the gateway (RFC 9457): name, meaning and remedy of each.

Programs get problem details, whose `type` links to a page with this text; browsers get an error page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from contracts.problem import Problem, WrongField
from gateway.http import request_context

REDUCED_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


@dataclass(frozen=True)
class ProblemType:
    """`status`: the usual one. `meaning` and `remedy`: whole sentences, for the page."""

    status: int
    title: str
    meaning: str
    remedy: str


PROBLEM_TYPES: dict[str, ProblemType] = {
    "malformed": ProblemType(
        400,
        "Malformed request",
        "The request could not be read.",
        "Send JSON as application/json, and each name once.",
    ),
    "key-missing": ProblemType(
        400,
        "No Idempotency-Key",
        "This request would do something that must not happen twice, and a repeated one could not be told from a new.",
        "Send an Idempotency-Key of your own choice, up to 255 characters, and the same one when you repeat.",
    ),
    "log-in": ProblemType(
        401,
        "Not logged in",
        "The request carries no access token or session, or one that does not count any more.",
        "Log in at POST /api/v1/sessions and send the access token as Authorization: Bearer.",
    ),
    "wrong-log-in": ProblemType(
        401,
        "Wrong log-in",
        "The e-mail address or the password, or the link or token, is not right or does not count any more.",
        "Check what you typed, or ask for a new link. We do not say which part is wrong.",
    ),
    "address-not-proved": ProblemType(
        403,
        "E-mail address not proved",
        "The account is there, but nobody has followed the link that we sent to its e-mail address.",
        "Follow the link in the mail, or ask for it again at POST /api/v1/proof-requests.",
    ),
    "wrong-password": ProblemType(
        403,
        "Wrong password",
        "What you are about to do asks for the password once more, and that is not the one.",
        "Send the password with which you log in. Whoever has forgotten it asks for a link at /api/v1/password-resets.",
    ),
    "link-not-valid": ProblemType(
        401,
        "Link not valid",
        "The link from the mail is too old, was used, or belongs to something that has changed since; or the password"
        " that goes with it is not right.",
        "Ask for a new link at /api/v1/proof-requests or /api/v1/password-resets.",
    ),
    "cross-site": ProblemType(
        403,
        "Sent from another site",
        "A page of another site sent this with your cookies, or the browser did not say where it came from.",
        "Do it on the shop's own pages. A program sends an access token, and no cookies.",
    ),
    "not-allowed": ProblemType(
        403,
        "Not allowed",
        "You may not do this.",
        "Log in as somebody who may.",
    ),
    "not-found": ProblemType(
        404,
        "Not found",
        "There is nothing here, or nothing that you may see.",
        "Check the address; for what is yours, log in.",
    ),
    "method": ProblemType(
        405,
        "Method not allowed",
        "This address does not know the method.",
        "See the Allow header, or /openapi.json.",
    ),
    "not-acceptable": ProblemType(
        406,
        "Not acceptable",
        "There is nothing here in a form that the request would accept.",
        "Ask for what the API description names, or send no Accept.",
    ),
    "too-late": ProblemType(
        409,
        "Too late",
        "The order has ended or is on its way, and cannot be cancelled any more.",
        "Look at the order: its journey says what has happened.",
    ),
    "conflict": ProblemType(
        409,
        "Conflict",
        "It does not go together with what is there already.",
        "Read it again, and decide anew.",
    ),
    "changed": ProblemType(
        412,
        "Changed meanwhile",
        "It is not any more what you had before your eyes.",
        "Read it again, and send its new ETag as If-Match.",
    ),
    "too-large": ProblemType(
        413,
        "Too large",
        "The body is larger than anything that is honestly sent here.",
        "Send at most 64 KiB.",
    ),
    "media-type": ProblemType(
        415,
        "Media type not known",
        "The body is of a kind that is not read here.",
        "Send JSON as application/json.",
    ),
    "not-valid": ProblemType(
        422,
        "Not valid",
        "One or more fields are missing, unknown or wrong; `errors` points at each.",
        "Correct the fields that are named. What you sent is not repeated in the answer.",
    ),
    "key-reused": ProblemType(
        422,
        "Idempotency-Key used for something else",
        "An earlier request of yours with this key asked for something else.",
        "Choose a new key for each new intent, and keep it for the repetitions of that one.",
    ),
    "if-match-missing": ProblemType(
        428,
        "No If-Match",
        "Without it, your change could overwrite somebody else's.",
        "Send the ETag of what you have read as If-Match.",
    ),
    "too-many": ProblemType(
        429,
        "Too many requests",
        "More was asked for than one visitor may ask for in a while.",
        "Wait as long as Retry-After says.",
    ),
    "failed": ProblemType(
        500,
        "Something is broken",
        "We have made a mistake; it is in our logs under the id of the request.",
        "Try again later. What needs an Idempotency-Key can be sent again with the same one.",
    ),
    "away": ProblemType(
        503,
        "A part of the shop is away",
        "A service that is needed for the answer does not answer just now.",
        "Try again after Retry-After. Sending the same again does no harm.",
    ),
    "not-taken": ProblemType(
        503,
        "Orders are not taken just now",
        "The order could not be handed over safely. It may arrive all the same, but at most once.",
        "Send the same again with the same Idempotency-Key after Retry-After: it makes one order, not two.",
    ),
}

# The problem type for a bare status: the first with that status, unless another one is more general.
_BY_STATUS = {problem_type.status: name for name, problem_type in reversed(PROBLEM_TYPES.items())} | {
    403: "not-allowed",
    409: "conflict",
}


class ProblemError(HTTPException):
    """An HTTP error with a problem type, by its name in PROBLEM_TYPES; or with a complete `problem`."""

    def __init__(
        self,
        name: str = "",
        detail: str = "",
        *,
        errors: Sequence[WrongField] = (),
        headers: Mapping[str, str] = {},
        problem: Problem | None = None,
    ) -> None:
        self.problem = problem or make_problem(name, detail, errors=list(errors))
        super().__init__(self.problem.status, self.problem.detail, dict(headers))


def make_problem(name: str, detail: str = "", **given: Any) -> Problem:
    problem_type = PROBLEM_TYPES[name]
    filled: dict[str, Any] = {"type": f"/problems/{name}", "title": problem_type.title, "status": problem_type.status}
    filled |= {"detail": detail or problem_type.remedy, "instance": request_context.current().request_id}
    return Problem(**(filled | given))


def problem_for_status(status: int) -> Problem:
    """The general problem of an HTTP status."""
    return make_problem(_BY_STATUS.get(status, "malformed" if status < 500 else "failed"), status=status)


def parse_problem(response: httpx.Response) -> Problem:
    """The problem details in a service's response, as far as they are readable."""
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return Problem(title="", status=response.status_code)


def prefers_html(request: Request) -> bool:
    """Whether to answer with a page: not under /api/, and the client accepts HTML."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
