"""Former and unconfirmed e-mail addresses are deleted in time, and by an erasure at once."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chassis.core.decision import UNKNOWN_TIME, Context
from contracts import users
from contracts.notifications import MailKind
from tests.support.eventually import until
from tests.support.shops.user import LoggedInClient, UserApp
from tests.unit.user_svc.accounts.test_email_change import NEW, OLD, confirm, request, requested_link
from user_svc.accounts import decider
from user_svc.accounts.email_change import (
    FORMER_EMAILS_KEPT_FOR,
    FORMER_EMAILS_MAX,
    PROOF_LIFETIME,
    EmailChange,
    FormerEmail,
)
from user_svc.accounts.user import User


async def test_former_and_unconfirmed_addresses_are_deleted_in_time(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    await confirm(user_app, await requested_link(user_app, ada))
    again = LoggedInClient(user_app, (await user_app.log_in(NEW)).json())
    await request(again, "third@example.org")

    async def stored(text: str) -> bool:
        return text in repr(await user_app.runtime.store.find("users"))

    assert await stored(OLD) and await stored("third")
    user_app.later(seconds=PROOF_LIFETIME.total_seconds() + 1)
    await until(lambda: _gone(stored, "third"))
    assert await stored(OLD)
    user_app.later(seconds=FORMER_EMAILS_KEPT_FOR.total_seconds())
    await until(lambda: _gone(stored, OLD))
    assert await stored(NEW)


async def _gone(stored: Any, text: str) -> bool:
    return not await stored(text)


async def test_erasure_deletes_all_addresses(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    await confirm(user_app, await requested_link(user_app, ada))
    again = LoggedInClient(user_app, (await user_app.log_in(NEW)).json())
    await request(again, "third@example.org")
    assert (await again.erase()).status_code == 204
    everything = repr([await user_app.runtime.store.find(kind) for kind in ("users", "emails", "families")])
    assert not [each for each in (OLD, NEW, "third@example.org") if each in everything]
    notice = await user_app.contact(ada.user_id, kind=MailKind.PASSWORD_CHANGED)
    assert notice.status_code == 404


ADA = UUID(int=1)
AT = datetime(2026, 3, 1, tzinfo=UTC)
FORGET = users.ForgetEmails(user_id=ADA)


def forget(user: User, sent_at: Any) -> User:
    decision = decider.decide(user, FORGET, Context(sent_at=sent_at))
    assert not decision.emits
    return decision.state


def test_a_late_reminder_spares_a_newer_request() -> None:
    """ForgetEmails and a new request may cross: in both orders the new one stays, and the old one goes."""
    request_ = EmailChange(ADA, NEW, AT)
    former = FormerEmail(ADA, OLD, AT - FORMER_EMAILS_KEPT_FOR)
    crossed = User(email_change=request_, former_emails=(former,))
    assert forget(crossed, AT) == User(email_change=request_)
    assert forget(User(former_emails=(former,)), AT) == User()
    assert forget(crossed, UNKNOWN_TIME) == crossed


def test_no_former_address_is_dropped_before_its_notice() -> None:
    former = tuple(FormerEmail(UUID(int=n), f"{n}@example.org", AT) for n in range(FORMER_EMAILS_MAX))
    assert len(former) == FORMER_EMAILS_MAX
    assert User(former_emails=former).without_emails(AT).former_emails == former
