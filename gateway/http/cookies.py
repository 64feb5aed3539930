"""The cookies of the shop. `__Host-` makes a browser refuse them over plain http, from other hosts, or for a path.

Only where the shop is shown over plain http on a name that is not localhost do they need plain names.
"""

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import HTTPConnection
from starlette.responses import Response


@dataclass(frozen=True)
class Cookies:
    """`session`: of who is logged in. `basket`: of a guest's basket. Both are random and say nothing."""

    insecure: bool = False

    @property
    def session(self) -> str:
        return "sid" if self.insecure else "__Host-sid"

    @property
    def basket(self) -> str:
        return "basket" if self.insecure else "__Host-basket"

    def has_ours(self, request: HTTPConnection) -> bool:
        return self.session in request.cookies or self.basket in request.cookies

    def set(self, response: Response, name: str, value: str, until: datetime) -> None:
        response.set_cookie(
            name, value, expires=until, path="/", secure=not self.insecure, httponly=True, samesite="lax"
        )

    def header(self, name: str, value: str, until: datetime | None) -> str:
        """As the value of a Set-Cookie, for a response that is made elsewhere."""
        response = Response()
        assert until is not None
        self.set(response, name, value, until)
        return response.headers["set-cookie"]

    def clear(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=not self.insecure, httponly=True, samesite="lax")
