"""The noes of user_svc in HTTP's words: problem details (RFC 9457), and what else may be answered, for OpenAPI."""

from http import HTTPStatus

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from contracts.access import NotValid
from contracts.problem import MEDIA_TYPE, Problem, answers
from user_svc.accounts import NotProved, WrongOwnPassword
from user_svc.common_passwords import TooCommon
from user_svc.family import NotOpen, TooOften
from user_svc.passwords import Busy
from user_svc.throttle import TooManyTries, WrongPassword
from user_svc.user import Reason, Refused

TRY_AGAIN_S = 2
REFUSALS = (Busy, NotOpen, NotProved, NotValid, Refused, TooCommon, TooManyTries, TooOften, WrongPassword)
_STATUS = {Reason.NO_SUCH_ADDRESS: 404, Reason.ADDRESSES_FULL: 409}

# What every route that takes a body may answer, and every one that asks for an access token.
BODY = answers(400, 413)
OWNER = answers(401)


def answer(refusal: Exception) -> JSONResponse:
    match refusal:
        case WrongOwnPassword():
            return _problem(403, "the password is wrong", "wrong-password")
        case WrongPassword():
            return _problem(401, "the e-mail address or the password is wrong")
        case NotProved():
            detail = "show first that the e-mail address is yours: follow the link in the mail that we sent"
            return _problem(403, detail, "address-not-proved")
        case NotValid():
            return _problem(401, "the link is not good any more; ask for another mail", "link-not-valid")
        case Refused(reason=reason):
            return _problem(_STATUS.get(reason, 401), reason)
        case TooCommon(field=field):
            error = {"type": "value_error", "loc": ("body", field), "msg": TooCommon.REMEDY}
            raise RequestValidationError([error])
        case TooManyTries(wait_s=wait_s):
            return _later(wait_s, "too many tries; wait a little")
        case TooOften() | Busy():
            return _later(TRY_AGAIN_S, "too much at once; try again")
        case _:  # NotOpen
            return _problem(401, "the log-in is over; log in again")


def unauthorised(detail: str = "log in first, and send the token as Authorization: Bearer") -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


def _problem(status: int, detail: str, kind: str = "", **headers: str) -> JSONResponse:
    """`kind` has a page of its own at the shop's door."""
    type_ = f"/problems/{kind}" if kind else "about:blank"
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = Problem(type=type_, title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status, headers, MEDIA_TYPE)


def _later(wait_s: int, detail: str) -> JSONResponse:
    return _problem(429, detail, **{"Retry-After": str(wait_s)})
