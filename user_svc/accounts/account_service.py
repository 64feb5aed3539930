"""The use cases of accounts.

Each runs several decisions, in an order that is safe if a crash interrupts it at any point.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from chassis.core.decision import Context
from chassis.core.execute import execute, load_state
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from contracts.http.access import NotValid
from contracts.notifications import MailKind
from contracts.values import NIL_UUID
from user_svc.accounts import decider
from user_svc.accounts.aggregates import EMAILS, USERS
from user_svc.accounts.email_change import DropEmailChange
from user_svc.accounts.email_reservation import (
    MAILS_PER_DAY,
    RESERVATION_MAX,
    CountMail,
    EmailReservation,
    EmailTaken,
    Release,
    Reserve,
    TooManyMails,
    reservation_key,
)
from user_svc.accounts.login_service import IssuedTokens, LoginService
from user_svc.accounts.user import (
    Abandon,
    AccountCommand,
    AccountRuleViolation,
    AccountStatus,
    EndAllLogins,
    Erase,
    Prove,
    Register,
    RegisterAgain,
    RenewAccess,
    RequestProof,
    RequestReset,
    SetPassword,
    User,
)
from user_svc.auth.login_throttle import WrongPassword
from user_svc.auth.passwords import Passwords
from user_svc.signing.signer import LinkPurpose, MailLink, TokenSigner

# Longer than the writes of a registration take, so that the response time does not show whether there were
# any.
MIN_RESPONSE_S = 0.25


RequestMail = RequestProof | RequestReset | RegisterAgain
_MAILS: dict[type[RequestMail], MailKind] = {
    RequestProof: MailKind.ADDRESS_PROOF,
    RequestReset: MailKind.PASSWORD_RESET,
    RegisterAgain: MailKind.REGISTERED_AGAIN,
}


class AddressNotProved(Exception):
    """The password is right, but the e-mail address is not proved yet. A mail with the link is on its way."""


class CurrentPasswordWrong(WrongPassword):
    """The current password of a logged-in user was entered wrongly."""


class AccountService:
    """The use cases of accounts.

    `min_response_s`: minimum duration of requests that must not reveal whether an account exists.
    `mails_per_day`: how many requested mails of one kind an address receives in 24 hours.
    """

    def __init__(
        self,
        runtime: Runtime,
        passwords: Passwords,
        signing: TokenSigner,
        logins: LoginService,
        min_response_s: float = MIN_RESPONSE_S,
        mails_per_day: int = MAILS_PER_DAY,
    ) -> None:
        self._runtime = runtime
        self._passwords = passwords
        self._signing = signing
        self._logins = logins
        self._min_response_s = min_response_s
        self._mails_per_day = mails_per_day

    async def register(self, user_id: UUID, email: str, name: str, password: str) -> None:
        """A mail to the owner says whether the address or the id is in use; the response does not."""
        password_hash = await self._passwords.hash(password)
        async with self.min_duration():
            try:
                await self.reserve_email(email, user_id)
                await self.change(
                    user_id, Register(user_id, email, name, password_hash, self._runtime.clock())
                )
            except EmailTaken as taken:
                if taken.by != NIL_UUID:
                    await self.warn_of_registration(await self.user(taken.by))
            except (AccountRuleViolation, TooManyMails):
                return

    async def warn_of_registration(self, user: User) -> None:
        """Sends a mail to the user whose address another client entered as their own."""
        await self._ask_for_mail(user, RegisterAgain(new_id(), self._runtime.clock()))

    async def require_uncommon(self, password: str, email: str) -> None:
        """Raises PasswordTooCommon if the password of a registration is easy to guess."""
        await self._passwords.require_uncommon(password, email, "password")

    async def ask_for_proof(self, email: str) -> None:
        """Does nothing, in the same time, if there is no such account or the address is already proved."""
        async with self.min_duration():
            if (user := await self.user_by_email(email)).exists:
                await self._ask_for_mail(user, RequestProof(new_id(), self._runtime.clock()))

    async def ask_for_reset(self, email: str) -> None:
        """Does nothing, in the same time, if there is no such account."""
        async with self.min_duration():
            if (user := await self.user_by_email(email)).exists:
                await self._ask_for_mail(user, RequestReset(new_id(), self._runtime.clock()))

    async def log_in(self, email: str, password: str, client: str = "") -> IssuedTokens:
        """Raises WrongPassword, also for an unknown address after the same work, or AddressNotProved."""
        user = await self.user_by_email(email)
        await self.require_password(password, user)
        if user.status is AccountStatus.UNPROVED:
            await self._ask_for_mail(user, RequestProof(new_id(), self._runtime.clock()))
            raise AddressNotProved
        return await self._logins.open(user, client)

    async def prove(self, link: MailLink, password: str, client: str = "") -> IssuedTokens:
        """Proves the address with the link from a mail. Raises NotValid or WrongPassword.

        The password is required as well: an attacker who registers another person's address gains nothing if
        that person follows the link.
        """
        user = await self.user(link.user_id)
        if not user.exists or reservation_key(user.email) != link.bound_to:
            raise NotValid("this address belongs to another account now")
        await self.require_password(password, user)
        try:
            return await self._logins.open(await self.change(user.user_id, Prove()), client)
        except AccountRuleViolation:
            raise NotValid("the account no longer exists") from None

    async def reset_password(self, link: MailLink, password: str) -> User:
        """Sets the password with the link from a mail.

        The link works once. Raises NotValid or PasswordTooCommon.
        """
        user = await self.user(link.user_id)
        if not user.exists or str(user.epoch) != link.bound_to:
            raise NotValid("the password was changed since")
        try:
            return await self._set_password(user, password, "password")
        except AccountRuleViolation:
            raise NotValid("the password was changed since, or the account no longer exists") from None

    async def change_password(self, user: User, current: str, new: str) -> User:
        """Ends all logins. Raises CurrentPasswordWrong, PasswordTooCommon or AccountRuleViolation."""
        await self.require_password(current, user, CurrentPasswordWrong)
        return await self._set_password(user, new, "new")

    async def proof_token(self, user: User) -> str:
        return await self._signing.link_token(
            MailLink(LinkPurpose.PROOF, user.user_id, reservation_key(user.email))
        )

    async def reset_token(self, user: User) -> str:
        return await self._signing.link_token(MailLink(LinkPurpose.RESET, user.user_id, str(user.epoch)))

    async def end_all_logins(self, user: User) -> User:
        return await self.change(user.user_id, EndAllLogins())

    async def end_login(self, user: User, sid: UUID) -> User:
        """Ends one login of the user, and makes all access tokens outdated: the other logins get new ones.

        If a crash comes in between, the login's last access token is valid for ten minutes at most. Raises
        AccountRuleViolation.
        """
        await self._logins.end_of(user, sid)
        return await self.change(user.user_id, RenewAccess())

    async def erase(self, user: User, password: str) -> User:
        """Erases the account before it releases the address:
        a crash in between leaves a reservation without an account, which the next registration takes over.

        Raises CurrentPasswordWrong or AccountRuleViolation.
        """
        await self.require_password(password, user, CurrentPasswordWrong)
        erased = await self.change(user.user_id, Erase())
        await self.release_email(user.email, user.user_id)
        return erased

    @asynccontextmanager
    async def min_duration(self) -> AsyncIterator[None]:
        """Makes a response take the time from which nothing about other accounts can be told."""
        end = asyncio.get_running_loop().time() + self._min_response_s
        yield
        await asyncio.sleep(max(0.0, end - asyncio.get_running_loop().time()))

    async def user(self, user_id: UUID) -> User:
        found: User = await load_state(self._runtime, USERS, str(user_id))
        return found

    async def change(self, user_id: UUID, command: AccountCommand) -> User:
        """Raises AccountRuleViolation."""
        changed: User = (await execute(self._runtime, USERS, str(user_id), command)).state
        return changed

    async def _ask_for_mail(self, user: User, command: RequestMail) -> None:
        """Does nothing if no such mail is due, or if the address has received its daily number of them."""
        if not decider.decide(user, command, Context()).emits:
            return
        try:
            await self.count_mail(user.email, _MAILS[type(command)])
        except TooManyMails:
            return
        await self.change(user.user_id, command)

    async def count_mail(self, email: str, kind: MailKind) -> None:
        """Raises TooManyMails if the address has received its daily number of mails of this kind."""
        count = CountMail(kind, self._runtime.clock(), self._mails_per_day)
        await execute(self._runtime, EMAILS, reservation_key(email), count)

    async def user_by_email(self, email: str) -> User:
        """The user with this address. An unknown address costs the same reads."""
        reservation: EmailReservation = await load_state(self._runtime, EMAILS, reservation_key(email))
        user = await self.user(reservation.user_id)
        return user if user.email == email else User()

    async def require_password(
        self, password: str, user: User, error_type: type[WrongPassword] = WrongPassword
    ) -> None:
        """Raises `error_type` if the password is wrong."""
        if not await self._passwords.verify(user.password_hash, password):
            raise error_type

    async def _set_password(self, user: User, password: str, field: str) -> User:
        await self._passwords.require_uncommon(password, user.email, field)
        password_hash = await self._passwords.hash(password)
        return await self.change(user.user_id, SetPassword(password_hash, user.epoch, new_id()))

    async def reserve_email(self, email: str, user_id: UUID, *, for_registration: bool = True) -> None:
        """Raises EmailTaken, and for a registration TooManyMails."""
        key = reservation_key(email)
        reservation: EmailReservation = await load_state(self._runtime, EMAILS, key)
        if reservation.user_id not in (NIL_UUID, user_id):
            await self._require_abandoned(reservation, email, for_registration=for_registration)
        reserve = Reserve(
            user_id,
            self._runtime.clock(),
            reservation.user_id,
            self._mails_per_day,
            for_registration=for_registration,
            seen_at=reservation.at,
        )
        await execute(self._runtime, EMAILS, key, reserve)

    async def release_email(self, email: str, user_id: UUID) -> None:
        """Does nothing if the user does not hold the reservation of this address."""
        await execute(self._runtime, EMAILS, reservation_key(email), Release(user_id))

    async def _require_abandoned(
        self, reservation: EmailReservation, email: str, *, for_registration: bool
    ) -> None:
        """Raises EmailTaken unless the account that holds the reservation has not proved the address and
        never can.
        """
        user = await self.user(reservation.user_id)
        at = reservation.at
        is_new = at is not None and self._runtime.clock() - at < RESERVATION_MAX
        if user.status is AccountStatus.NEW:
            if is_new:
                raise EmailTaken()  # it may be registering at this moment
            user = await self.change(reservation.user_id, Abandon())
        elif user.status is AccountStatus.UNPROVED and user.email == email:
            # Check before the old account is abandoned: by a password reset the owner of the address can
            # still take it over.
            if for_registration:
                reservation.with_mail(MailKind.USER_REGISTERED, self._runtime.clock(), self._mails_per_day)
            user = await self.change(reservation.user_id, Abandon())
        elif user.status is AccountStatus.ACTIVE and user.email != email:
            if is_new and user.new_email == email:
                raise EmailTaken()  # it may be changing its address at this moment
            user = await self.change(reservation.user_id, DropEmailChange(email))
        if user.status is AccountStatus.ACTIVE and user.email == email:
            raise EmailTaken(by=user.user_id)
