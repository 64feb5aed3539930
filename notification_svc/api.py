"""The read API of mails and their status. It returns no names and no addresses, because none are stored."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from chassis.core.codec import Codec
from chassis.runtime import Runtime
from chassis.store.protocol import Loaded
from chassis.web.app import Limit
from chassis.web.problems import ALWAYS, problem_response, problem_responses
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.values import Id, Money
from notification_svc.mail import Mail, MailStatus

_mails = Codec(Mail)


class MailView(BaseModel):
    """A mail and its status."""

    key: str = Field(
        description="<id of an order, a user or a request>:<kind of mail>; with :<id> for a refund of a part"
    )
    status: MailStatus
    about: UUID
    kind: MailKind
    user_id: UUID
    amount: Money | None
    reason: CancelReason | None
    detail: str = Field(description="why it is undeliverable, as text")
    superseded_by: MailKind | None = Field(
        description="the kind of the newer mail, if this one was dropped because of it"
    )


class MailPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one."""

    items: list[MailView]
    next: str | None


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(tags=["mails"], responses=ALWAYS)

    @router.get("/mails")
    async def mails(
        about: Id | None = None,
        user_id: Id | None = None,
        status: MailStatus | None = None,
        after: Annotated[str, Query(max_length=100)] = "",
        limit: Limit = 20,
        oldest_first: bool = False,
    ) -> MailPage:
        """A page of mails, those about the newest orders and users first, or the oldest first."""
        where = {
            "about": about and str(about),
            "user_id": user_id and str(user_id),
            "status": status and status.value,
        }
        found = await runtime.store.find(
            "mails",
            {path: value for path, value in where.items() if value is not None},
            after=after,
            limit=limit + 1,
            newest_first=not oldest_first,
        )
        items = [_view(loaded) for loaded in found[:limit]]
        return MailPage(items=items, next=items[-1].key if len(found) > limit else None)

    @router.get("/mails/{key}", response_model=MailView, responses=problem_responses(404))
    async def mail(key: str) -> Any:
        """One mail."""
        loaded = (await runtime.store.load("mails", [key]))[key]
        if loaded.state is None:
            return problem_response(
                404, "No such mail", "a key is <id of an order, a user or a request>:<kind of mail>"
            )
        return _view(loaded)

    return router


def _view(loaded: Loaded) -> MailView:
    assert loaded.state is not None
    mail: Mail = _mails.load(loaded.state)
    return MailView(
        key=loaded.key,
        status=mail.status,
        about=mail.about,
        kind=mail.kind,
        user_id=mail.user_id,
        amount=mail.amount,
        reason=mail.reason,
        detail=mail.detail,
        superseded_by=mail.superseded_by,
    )
