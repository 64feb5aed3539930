"""The client of user_svc: requests the recipient's name and address for each mail, when it is sent.

The response is not cached, not even in memory. Otherwise an erasure would have to reach every instance, but
an event is delivered to one instance only.
"""

import asyncio
from collections.abc import Callable
from uuid import UUID

import httpx
from pydantic import ValidationError

from chassis.core.definition import EffectUnavailable
from chassis.telemetry import tracing
from chassis.web.client_spans import client_span, describe_response
from contracts.http.users import Recipient
from contracts.notifications import MailKind

REQUEST_S_MAX = 2.0


class UserNotFound(Exception):
    """The user does not exist or was erased."""


class RecipientClient:
    """user_svc's internal API."""

    def __init__(self, http: httpx.AsyncClient, token: Callable[[], str]) -> None:
        self._http = http
        self._token = token

    async def of(self, user_id: UUID, kind: MailKind, about: UUID | None = None) -> Recipient:
        """The recipient of the mail of this kind about a request or an order.

        Raises UserNotFound, or EffectUnavailable if user_svc does not respond properly.
        """
        try:
            with client_span("GET", self._http.base_url) as span:
                response = await self._get(user_id, kind, about)
                describe_response(span, response.status_code)
        except (httpx.HTTPError, OSError) as error:  # TimeoutError is an OSError
            raise EffectUnavailable(f"user_svc: {type(error).__name__}") from None
        if response.status_code == httpx.codes.NOT_FOUND:
            raise UserNotFound
        if response.status_code != httpx.codes.OK:
            raise EffectUnavailable(f"user_svc answers {response.status_code}")
        try:
            return Recipient.model_validate_json(response.content)
        except ValidationError:  # its text would contain the address
            raise EffectUnavailable("user_svc responds with something that is not a contact") from None

    async def _get(self, user_id: UUID, kind: MailKind, about: UUID | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token()}"}
        if (span := tracing.current()) is not None:
            headers["traceparent"] = span.traceparent
        asked = {"kind": kind.value} | ({"about": str(about)} if about else {})
        async with asyncio.timeout(REQUEST_S_MAX):
            return await self._http.get(f"/internal/contacts/{user_id}", params=asked, headers=headers)
