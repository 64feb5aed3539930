"""Maps user_svc's domain errors to problem details (RFC 9457),
and declares the error responses for OpenAPI.
"""

from http import HTTPStatus

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from chassis.web.problems import problem_response, problem_responses
from contracts.http.access import NotValid
from user_svc.accounts.account_service import AddressNotProved, CurrentPasswordWrong
from user_svc.accounts.email_change_service import EmailUnchanged
from user_svc.accounts.user import AccountRule, AccountRuleViolation
from user_svc.auth.login_attempts import TooManyAttempts
from user_svc.auth.login_throttle import WrongPassword
from user_svc.auth.password_policy import PasswordTooCommon
from user_svc.auth.passwords import HashingOverloaded
from user_svc.auth.refresh_tokens import LoginNotActive, TooManyRefreshes

RETRY_AFTER_S = 2
HANDLED_ERRORS = (
    HashingOverloaded,
    LoginNotActive,
    AddressNotProved,
    EmailUnchanged,
    NotValid,
    AccountRuleViolation,
    PasswordTooCommon,
    TooManyAttempts,
    TooManyRefreshes,
    WrongPassword,
)
_STATUS = {AccountRule.NO_SUCH_ADDRESS: 404, AccountRule.NO_SUCH_LOGIN: 404, AccountRule.ADDRESSES_FULL: 409}
_RETRY_AFTER_S = {
    AccountRule.MAIL_TOO_SOON: 60,
    AccountRule.REQUESTED_TOO_OFTEN: 86_400,
    AccountRule.CHANGED_TOO_OFTEN: 86_400,
}

# The error responses of every route with a body, and of every route that requires an access token.
BODY_RESPONSES = problem_responses(400, 413)
LOGIN_RESPONSES = problem_responses(401)


def error_response(exception: Exception) -> JSONResponse:
    match exception:
        case CurrentPasswordWrong():
            return _problem(403, "the password is wrong", "wrong-password")
        case WrongPassword():
            return _problem(401, "the e-mail address or the password is wrong")
        case AddressNotProved():
            detail = "confirm your e-mail address first: follow the link in the mail that we sent"
            return _problem(403, detail, "address-not-proved")
        case NotValid():
            return _problem(401, "the link is no longer valid; request another mail", "link-not-valid")
        case AccountRuleViolation(reason=reason):
            return _rule_response(reason)
        case PasswordTooCommon(field=field):
            raise _wrong_field(field, PasswordTooCommon.REMEDY)
        case EmailUnchanged():
            raise _wrong_field("email", "this is your address already")
        case TooManyAttempts(wait_s=wait_s):
            return _later(wait_s, "too many attempts; wait before you try again")
        case TooManyRefreshes() | HashingOverloaded():
            return _later(RETRY_AFTER_S, "too many requests at once; try again")
        case _:  # LoginNotActive
            return _problem(401, "the login has ended; log in again")


def _rule_response(rule: AccountRule) -> JSONResponse:
    if wait_s := _RETRY_AFTER_S.get(rule):
        return _later(wait_s, rule)
    return _problem(_STATUS.get(rule, 401), rule)


def _wrong_field(field: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": ("body", field), "msg": message}])


def unauthorised(detail: str = "log in first, and send the token as Authorization: Bearer") -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


def _problem(status: int, detail: str, kind: str = "", **headers: str) -> JSONResponse:
    """`kind`: the page under /problems/ at the gateway that describes the problem; "" for none."""
    type_ = f"/problems/{kind}" if kind else "about:blank"
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem_response(status, HTTPStatus(status).phrase, detail, type=type_, headers=headers)


def _later(wait_s: int, detail: str) -> JSONResponse:
    return _problem(429, detail, **{"Retry-After": str(wait_s)})
