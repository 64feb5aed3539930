"""What people do with their accounts: each use is a few decisions, in an order that a crash may end anywhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from chassis.direct import decide_directly, load_directly
from chassis.runtime import Runtime
from contracts.access import NotValid
from contracts.identity import new_id
from contracts.notifications import MailKind
from contracts.values import NOBODY
from user_svc import decider
from user_svc.claim import CLAIM_MAX, MAILS_PER_DAY, Claim, CountMail, Hold, LetGo, Taken, TooManyMails, claim_key
from user_svc.common_passwords import TooCommon, is_common
from user_svc.log_ins import LogIns, Tokens
from user_svc.passwords import Passwords
from user_svc.service import EMAILS, USERS
from user_svc.signing import Link, Purpose, Signing
from user_svc.throttle import WrongPassword
from user_svc.user import (
    Abandon,
    Asked,
    EndLogIns,
    Erase,
    Prove,
    Refused,
    Register,
    RegisterAgain,
    RequestProof,
    RequestReset,
    SetPassword,
    Status,
    User,
)

# Long enough for the writes of a registration, so that its answer does not tell whether there were any.
EVEN_S = 0.25


RequestMail = RequestProof | RequestReset | RegisterAgain
_MAILS: dict[type[RequestMail], MailKind] = {
    RequestProof: MailKind.ADDRESS_PROOF,
    RequestReset: MailKind.PASSWORD_RESET,
    RegisterAgain: MailKind.REGISTERED_AGAIN,
}


class NotProved(Exception):
    """The password is right, but nobody has shown yet that the address is theirs. A mail about it is on its way."""


class WrongOwnPassword(WrongPassword):
    """Of somebody who is logged in, or uses the browser of somebody who is."""


class Accounts:
    """`even_s`: how long the answer takes where it must not tell whether there is an account.

    `mails_per_day`: how many mails of a kind an address gets in a day because somebody asks for them.
    """

    def __init__(
        self,
        runtime: Runtime,
        passwords: Passwords,
        signing: Signing,
        log_ins: LogIns,
        even_s: float = EVEN_S,
        mails_per_day: int = MAILS_PER_DAY,
    ) -> None:
        self._runtime, self._passwords, self._signing, self._log_ins = runtime, passwords, signing, log_ins
        self._even_s, self._mails_per_day = even_s, mails_per_day

    async def register(self, user_id: UUID, email: str, name: str, password: str) -> None:
        """Whether the address or the id is in use is told by mail, to the owner of the address, and to nobody else."""
        password_hash = await self._passwords.hash(password)
        async with _at_least(self._even_s):
            try:
                await self._hold(email, user_id)
                await self.change(user_id, Register(user_id, email, name, password_hash, self._runtime.clock()))
            except Taken as taken:
                if taken.by != NOBODY:
                    await self._ask_for_mail(await self.user(taken.by), RegisterAgain(new_id(), self._runtime.clock()))
            except (Refused, TooManyMails):
                return

    async def ask_for_proof(self, email: str) -> None:
        """Nothing happens, in the same time, if there is no such account or the address is proved."""
        async with _at_least(self._even_s):
            if (holder := await self._holder(email)).exists:
                await self._ask_for_mail(holder, RequestProof(new_id(), self._runtime.clock()))

    async def ask_for_reset(self, email: str) -> None:
        """Nothing happens, in the same time, if there is no such account."""
        async with _at_least(self._even_s):
            if (holder := await self._holder(email)).exists:
                await self._ask_for_mail(holder, RequestReset(new_id(), self._runtime.clock()))

    async def log_in(self, email: str, password: str) -> Tokens:
        """Raises WrongPassword also for an unknown address, after the same work; or NotProved."""
        holder = await self._holder(email)
        await self._require(password, holder)
        if holder.status is Status.UNPROVED:
            await self._ask_for_mail(holder, RequestProof(new_id(), self._runtime.clock()))
            raise NotProved
        return await self._log_ins.open(holder)

    async def prove(self, link: Link, password: str) -> Tokens:
        """By the link in a mail. The password is asked for, too: whoever registered a stranger's address gains
        nothing by it, however willingly the stranger follows the link. Raises NotValid or WrongPassword."""
        holder = await self.user(link.user_id)
        if not holder.exists or claim_key(holder.email) != link.bound_to:
            raise NotValid("this address belongs to another account now")
        await self._require(password, holder)
        try:
            return await self._log_ins.open(await self.change(holder.user_id, Prove()))
        except Refused:
            raise NotValid("the account is gone meanwhile") from None

    async def reset_password(self, link: Link, password: str) -> User:
        """By the link in a mail, once. Raises NotValid or TooCommon."""
        holder = await self.user(link.user_id)
        if not holder.exists or str(holder.epoch) != link.bound_to:
            raise NotValid("the password was changed since")
        try:
            return await self._set_password(holder, password, "password")
        except Refused:
            raise NotValid("the password was changed meanwhile, or the account is gone") from None

    async def change_password(self, owner: User, current: str, new: str) -> User:
        """Ends all log-ins. Raises WrongOwnPassword, TooCommon or Refused."""
        await self._require(current, owner, WrongOwnPassword)
        return await self._set_password(owner, new, "new")

    async def proof_token(self, owner: User) -> str:
        return await self._signing.link_token(Link(Purpose.PROOF, owner.user_id, claim_key(owner.email)))

    async def reset_token(self, owner: User) -> str:
        return await self._signing.link_token(Link(Purpose.RESET, owner.user_id, str(owner.epoch)))

    async def end_log_ins(self, owner: User) -> User:
        return await self.change(owner.user_id, EndLogIns())

    async def erase(self, owner: User, password: str) -> User:
        """The account first: a claim that a crash leaves behind belongs to nobody, and gives way to the next.

        Raises WrongOwnPassword or Refused.
        """
        await self._require(password, owner, WrongOwnPassword)
        erased = await self.change(owner.user_id, Erase())
        await decide_directly(self._runtime, EMAILS, claim_key(owner.email), LetGo(owner.user_id))
        return erased

    async def user(self, user_id: UUID) -> User:
        found: User = await load_directly(self._runtime, USERS, str(user_id))
        return found

    async def change(self, user_id: UUID, asked: Asked) -> User:
        """Raises Refused."""
        changed: User = (await decide_directly(self._runtime, USERS, str(user_id), asked)).state
        return changed

    async def _ask_for_mail(self, holder: User, asked: RequestMail) -> None:
        """Nothing happens if no such mail is due, or if the address has had its number of them today."""
        if not decider.decide(holder, asked).says:
            return
        count = CountMail(_MAILS[type(asked)], asked.at, self._mails_per_day)
        try:
            await decide_directly(self._runtime, EMAILS, claim_key(holder.email), count)
        except TooManyMails:
            return
        await self.change(holder.user_id, asked)

    async def _holder(self, email: str) -> User:
        """Whose address it is. For nobody's as much is read."""
        claim: Claim = await load_directly(self._runtime, EMAILS, claim_key(email))
        holder = await self.user(claim.user_id)
        return holder if holder.email == email else User()

    async def _require(self, password: str, holder: User, otherwise: type[WrongPassword] = WrongPassword) -> None:
        if not await self._passwords.right(holder.password_hash, password):
            raise otherwise

    async def _set_password(self, holder: User, password: str, field: str) -> User:
        if is_common(password, holder.email):
            raise TooCommon(field)
        password_hash = await self._passwords.hash(password)
        return await self.change(holder.user_id, SetPassword(password_hash, holder.epoch, new_id()))

    async def _hold(self, email: str, user_id: UUID) -> None:
        key = claim_key(email)
        claim: Claim = await load_directly(self._runtime, EMAILS, key)
        if claim.user_id not in (NOBODY, user_id):
            await self._require_void(claim, email)
        hold = Hold(user_id, self._runtime.clock(), instead_of=claim.user_id, mails_max=self._mails_per_day)
        await decide_directly(self._runtime, EMAILS, key, hold)

    async def _require_void(self, claim: Claim, email: str) -> None:
        """Raises Taken, unless the account for which the address was claimed has not proved it and never will."""
        holder = await self.user(claim.user_id)
        if holder.status is Status.NEW:
            if claim.at is not None and self._runtime.clock() - claim.at < CLAIM_MAX:
                raise Taken()  # perhaps it is being registered just now
            holder = await self.change(claim.user_id, Abandon())
        elif holder.status is Status.UNPROVED and holder.email == email:
            # Before the old account goes: the owner of the address can still take it over by a password reset.
            claim.with_mail(MailKind.USER_REGISTERED, self._runtime.clock(), self._mails_per_day)
            holder = await self.change(claim.user_id, Abandon())
        if holder.status is Status.ACTIVE and holder.email == email:
            raise Taken(by=holder.user_id)


@asynccontextmanager
async def _at_least(seconds: float) -> AsyncIterator[None]:
    end = asyncio.get_running_loop().time() + seconds
    yield
    await asyncio.sleep(max(0.0, end - asyncio.get_running_loop().time()))
