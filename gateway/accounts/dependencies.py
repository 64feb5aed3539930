"""What the routes of accounts need."""

from typing import Protocol

from gateway.auth.dependencies import AuthDependencies
from gateway.auth.session_service import SessionService
from gateway.auth.user_client import UserClient
from gateway.basket.repository import BasketRepository
from gateway.http.cookies import Cookies


class AccountDependencies(AuthDependencies, Protocol):
    user_client: UserClient
    sessions: SessionService
    cookies: Cookies
    baskets: BasketRepository
