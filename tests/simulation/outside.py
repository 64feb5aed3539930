"""The world outside the shop: a card provider and a post office. Both do what they do even when nobody hears so."""

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any

from chassis.service import EffectUnavailable
from contracts.notifications import MailKind
from notification_svc.mail import Deliver, Sent
from payment_svc import payment as card
from payment_svc.ledger import Entry, settle
from payment_svc.payment import Answer, Question
from payment_svc.provider import ProviderSilent
from tests.simulation.faults import Kind, Moment

POST_S = 0.01  # a letter takes its time also where nothing else does: copies of its command come meanwhile


class CardProvider:
    """Its ledger, by the rules of the trade; kept by idempotency key, for ever."""

    def __init__(self) -> None:
        self.book: dict[str, Entry] = {}

    def settle(self, question: Question) -> Answer:
        self.book |= settle(question, self.book)
        return self.book[question.key].answer


class ProviderLine:
    """See payment_svc.provider.Provider: one instance's line to the provider."""

    def __init__(self, provider: CardProvider, host: Any, name: Any) -> None:
        self._provider, self._host, self._name = provider, host, name

    async def _ask(self, question: Question) -> Answer:
        order, _, effect = question.key.partition(":")
        fault = await self._host.reaches(Moment.PROVIDER, f"to {effect} {self._name(order)}")
        if fault is Kind.AWAY_NOT_DONE:
            raise ProviderSilent("503")
        answer = self._provider.settle(question)
        await self._host.leaves(fault)
        if fault is Kind.AWAY_DONE:
            raise ProviderSilent("504")
        return answer

    async def authorize(self, question: card.AuthorizeCard) -> card.Authorized | card.Declined:
        answer = await self._ask(question)
        assert isinstance(answer, card.Authorized | card.Declined)
        return answer

    async def capture(self, question: card.CaptureAmount) -> card.Captured | card.CaptureRefused:
        answer = await self._ask(question)
        assert isinstance(answer, card.Captured | card.CaptureRefused)
        return answer

    async def void(self, question: card.VoidAuthorization) -> card.Voided:
        answer = await self._ask(question)
        assert isinstance(answer, card.Voided)
        return answer

    async def refund(self, question: card.RefundAmount) -> card.Refunded:
        answer = await self._ask(question)
        assert isinstance(answer, card.Refunded)
        return answer

    async def find(self, key: str) -> Answer | None:
        order, _, effect = key.partition(":")
        fault = await self._host.reaches(Moment.PROVIDER, f"about the {effect} of {self._name(order)}")
        if fault in (Kind.AWAY_NOT_DONE, Kind.AWAY_DONE):
            raise ProviderSilent("503")
        await self._host.leaves(fault)
        entry = self._provider.book.get(key)
        return entry.answer if entry else None


class PostOffice:
    """How many copies of each mail it took, by what the mail is about and its kind: its Message-ID."""

    def __init__(self) -> None:
        self.taken: Counter[tuple[str, MailKind]] = Counter()


class MailBox:
    """One instance's way to the post office; see chassis.service.Perform."""

    def __init__(self, post: PostOffice, host: Any, name: Any) -> None:
        self._post, self._host, self._name = post, host, name

    async def deliver(self, question: Deliver, first_asked: datetime) -> Sent:
        mail = question.mail
        fault = await self._host.reaches(Moment.MAIL, f"{mail.kind} about {self._name(str(mail.about))}")
        if fault is Kind.AWAY_NOT_DONE:
            raise EffectUnavailable("the mail server does not answer")
        await asyncio.sleep(POST_S)
        self._post.taken[str(mail.about), mail.kind] += 1
        await self._host.leaves(fault)
        if fault is Kind.AWAY_DONE:
            raise EffectUnavailable("the mail server hung up")
        return Sent()
