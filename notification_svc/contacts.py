"""Asks user_svc for a name and an address, at the moment of sending. They are kept in memory only, and not for long:
what user_svc has erased is gone here within a minute. A token for a link lets somebody in: it is asked for anew each
time, and not kept at all.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis.service import EffectUnavailable
from contracts.notifications import MailKind
from notification_svc.links import needs_token

ASK_S_MAX = 2.0
KEEP_S_MAX = 60.0
KEPT_MAX = 1_000
TOKEN_LENGTH_MAX = 700  # a line of a mail holds 998 characters at most, and the link is one word


class Contact(BaseModel):
    """Whom to write to. Never log one. `link_token` is there for the kinds of mail that need one, or not at all."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    email: str
    name: str = ""
    link_token: str | None = Field(None, max_length=TOKEN_LENGTH_MAX, repr=False)


class UserGone(Exception):
    """There is no such user any more."""


@dataclass(frozen=True, slots=True)
class _Kept:
    contact: Contact
    until: float


class Contacts:
    """user_svc's internal API, with a short memory."""

    def __init__(
        self, http: httpx.AsyncClient, token: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http, self._token, self._clock = http, token, clock
        self._kept: dict[UUID, _Kept] = {}

    async def of(self, user_id: UUID, kind: MailKind) -> Contact:
        """Raises UserGone, or EffectUnavailable when user_svc does not say."""
        if needs_token(kind):
            return await self._ask(user_id, kind)
        kept = self._kept.get(user_id)
        if kept is not None and kept.until > self._clock():
            return kept.contact
        self._kept.pop(user_id, None)
        contact = (await self._ask(user_id, kind)).model_copy(update={"link_token": None})
        while len(self._kept) >= KEPT_MAX:  # the oldest goes first; dicts remember the order
            del self._kept[next(iter(self._kept))]
        self._kept[user_id] = _Kept(contact, self._clock() + KEEP_S_MAX)
        return contact

    async def _ask(self, user_id: UUID, kind: MailKind) -> Contact:
        try:
            async with asyncio.timeout(ASK_S_MAX):
                headers = {"Authorization": f"Bearer {self._token()}"}
                where = f"/internal/contacts/{user_id}"
                response = await self._http.get(where, params={"kind": kind.value}, headers=headers)
        except (httpx.HTTPError, OSError) as error:  # TimeoutError is an OSError
            raise EffectUnavailable(f"user_svc: {type(error).__name__}") from None
        if response.status_code == httpx.codes.NOT_FOUND:
            raise UserGone
        if response.status_code != httpx.codes.OK:
            raise EffectUnavailable(f"user_svc answers {response.status_code}")
        try:
            return Contact.model_validate_json(response.content)
        except ValidationError:  # its text would repeat the address
            raise EffectUnavailable("user_svc answers with something that is no contact") from None
