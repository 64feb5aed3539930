"""The change of an account's e-mail address.

The new address is proved like that of a registration: by the link in a mail to it, together with the
password. So a mistyped address gives its owner nothing. The former address gets a notice.

The order of the writes is safe if a crash interrupts it. The new address is reserved before the account is
changed, and the former one is released after it: a reservation without an account that has the address is
taken over by the next user who wants it (account_service.py), who first drops the requested change.
"""

from dataclasses import replace

from chassis.core.decision import Context
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from contracts.http.access import NotValid
from contracts.notifications import MailKind
from user_svc.accounts import decider
from user_svc.accounts.account_service import AccountService, CurrentPasswordWrong
from user_svc.accounts.email_change import ChangeEmail, DropEmailChange, RequestEmailChange
from user_svc.accounts.email_reservation import EmailTaken, TooManyMails, reservation_key
from user_svc.accounts.login_service import IssuedTokens, LoginService
from user_svc.accounts.user import (
    AccountRule,
    AccountRuleViolation,
    AccountStatus,
    User,
)
from user_svc.signing.signer import LinkPurpose, MailLink, TokenSigner


class EmailUnchanged(Exception):
    """The new address is the one that the account has."""


class EmailChangeService:
    def __init__(
        self, runtime: Runtime, accounts: AccountService, logins: LoginService, signing: TokenSigner
    ) -> None:
        self._runtime = runtime
        self._accounts = accounts
        self._logins = logins
        self._signing = signing

    async def request(self, user: User, email: str, password: str) -> None:
        """Sends the mail with the link to the new address.

        If that belongs to another account, its owner gets a notice instead, and the response is the same.
        Raises CurrentPasswordWrong, EmailUnchanged or AccountRuleViolation.
        """
        await self._accounts.require_password(password, user, CurrentPasswordWrong)
        if email == user.email:
            raise EmailUnchanged
        async with self._accounts.min_duration():
            holder = await self._accounts.user_by_email(email)
            is_taken = holder.status is AccountStatus.ACTIVE
            command = RequestEmailChange(new_id(), email, self._runtime.clock(), sends_mail=not is_taken)
            decider.decide(user, command, Context())  # before it counts
            await self._count_request(user)
            if is_taken:
                await self._accounts.warn_of_registration(holder)
            elif not await self._may_get_mail(email):
                command = replace(command, sends_mail=False)
            await self._accounts.change(user.user_id, command)

    async def drop(self, user: User) -> None:
        """Drops the requested change, if there is one."""
        await self._accounts.change(user.user_id, DropEmailChange())

    async def confirm(self, link: MailLink, password: str, client: str = "") -> IssuedTokens:
        """Changes the address with the link from the mail to the new one, ends all logins, and logs in.

        A repetition logs in again. Raises NotValid or WrongPassword.
        """
        user = await self._accounts.user(link.user_id)
        if user.status is not AccountStatus.ACTIVE or not _belongs_to(link, user):
            raise NotValid("the change was replaced, dropped or not confirmed in time")
        await self._accounts.require_password(password, user)
        if user.requests_change(link.request_id):
            user = await self._change(user, link)
        return await self._logins.open(user, client)

    async def link_token(self, user: User) -> str:
        """The token of the link in the mail to the new address. The account must have a requested change."""
        assert user.email_change is not None
        bound_to = f"{reservation_key(user.email)}:{user.email_change.request_id}"
        return await self._signing.link_token(MailLink(LinkPurpose.PROOF, user.user_id, bound_to))

    async def _change(self, user: User, link: MailLink) -> User:
        assert user.email_change is not None and link.request_id is not None
        try:
            await self._accounts.reserve_email(user.email_change.email, user.user_id, for_registration=False)
            changed = await self._accounts.change(
                user.user_id, ChangeEmail(link.request_id, self._runtime.clock())
            )
        except EmailTaken:
            raise NotValid("this address belongs to another account now") from None
        except AccountRuleViolation as violation:  # or the same link was used at the same time
            changed = await self._accounts.user(user.user_id)
            if changed.former_email(link.request_id) is None:
                raise NotValid(violation.reason) from None
        await self._accounts.release_email(user.email, user.user_id)
        return changed

    async def _count_request(self, user: User) -> None:
        """Raises AccountRuleViolation if this user has requested too many changes in a day."""
        try:
            await self._accounts.count_mail(user.email, MailKind.ADDRESS_PROOF)
        except TooManyMails:
            raise AccountRuleViolation(AccountRule.REQUESTED_TOO_OFTEN) from None

    async def _may_get_mail(self, email: str) -> bool:
        try:
            await self._accounts.count_mail(email, MailKind.ADDRESS_PROOF)
        except TooManyMails:
            return False
        return True


def _belongs_to(link: MailLink, user: User) -> bool:
    """Whether the user has requested this change, or has made it shortly before."""
    return user.requests_change(link.request_id) or user.former_email(link.request_id) is not None
