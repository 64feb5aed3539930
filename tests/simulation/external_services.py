"""The services outside the shop: a card provider and a mail server.

Their effects last even if a response is lost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chassis.core.definition import EffectUnavailable
from contracts.values import Money
from notification_svc.mail import Deliver, Sent
from payment_svc import payment as card
from payment_svc.ledger import LedgerEntry, Outcome, settle
from payment_svc.payment import CardRequest
from payment_svc.provider import ProviderUnavailable
from payment_svc.simulator import Document
from tests.simulation.faults import Kind, Moment

POST_S = 0.01  # sending a mail takes time even without delays, so that copies of its command can arrive


class CardProvider:
    """The provider's ledger by idempotency key, kept forever.

    `differs`: the keys for which the provider did something other than requested.
    """

    def __init__(self) -> None:
        self.book: dict[str, LedgerEntry] = {}
        self.differs: set[str] = set()

    def settle(self, card_request: CardRequest, fault: Kind | None = None) -> Document:
        changed = settle(card_request, self.book)
        if fault in _OTHERWISE and changed and changed[card_request.key].outcome in _MOVED:
            entry = changed[card_request.key]
            changed[card_request.key] = replace(entry, amount=_OTHERWISE[fault](entry.amount))
            self.differs.add(card_request.key)
        self.book |= changed
        return self.book[card_request.key].document(card_request.key)


_OTHERWISE: Mapping[Kind | None, Callable[[Money], Money]] = {
    Kind.HALF: lambda amount: amount.model_copy(update={"amount_minor": amount.amount_minor // 2}),
    Kind.OTHER_CURRENCY: lambda amount: amount.model_copy(update={"currency": "GBP"}),
}
_MOVED = (Outcome.AUTHORIZED, Outcome.CAPTURED, Outcome.VOIDED, Outcome.REFUNDED)


class ProviderLine:
    """See payment_svc.provider.Provider: one instance's connection to the provider."""

    def __init__(self, provider: CardProvider, host: Any, name: Any) -> None:
        self._provider = provider
        self._host = host
        self._name = name

    async def _ask(self, card_request: CardRequest) -> Document:
        order, _, effect = card_request.key.partition(":")
        fault = await self._host.reaches(Moment.PROVIDER, f"to {effect} {self._name(order)}")
        if fault is Kind.AWAY_NOT_DONE:
            raise ProviderUnavailable("503")
        response = self._provider.settle(card_request, fault)
        await self._host.leaves(fault)
        if fault is Kind.AWAY_DONE:
            raise ProviderUnavailable("504")
        return _about_another(response) if fault is Kind.OTHER_TRANSACTION else response

    async def authorize(self, card_request: card.AuthorizeCard) -> Document:
        return await self._ask(card_request)

    async def capture(self, card_request: card.CaptureAmount) -> Document:
        return await self._ask(card_request)

    async def void(self, card_request: card.VoidAuthorization) -> Document:
        return await self._ask(card_request)

    async def refund(self, card_request: card.RefundAmount) -> Document:
        return await self._ask(card_request)

    async def find(self, key: str) -> Document | None:
        order, _, effect = key.partition(":")
        fault = await self._host.reaches(Moment.PROVIDER, f"about the {effect} of {self._name(order)}")
        if fault in (Kind.AWAY_NOT_DONE, Kind.AWAY_DONE):
            raise ProviderUnavailable("503")
        await self._host.leaves(fault)
        entry = self._provider.book.get(key)
        if entry is None:
            return None
        response = entry.document(key)
        return _about_another(response) if fault is Kind.OTHER_TRANSACTION else response


def _about_another(response: Document) -> Document:
    return response | {"key": "another:authorize", "reference": "sim:another:authorize"}


class FakeMailServer:
    """The number of copies of each mail that were accepted, by subject, kind and part,
    which make up its Message-ID.
    """

    def __init__(self) -> None:
        self.taken: Counter[tuple[str, str]] = Counter()


class MailBox:
    """One instance's connection to the mail server; see chassis.core.definition.EffectHandler."""

    def __init__(self, post: FakeMailServer, host: Any, name: Any) -> None:
        self._post = post
        self._host = host
        self._name = name

    async def deliver(self, card_request: Deliver, first_asked: datetime) -> Sent:
        mail = card_request.mail
        fault = await self._host.reaches(Moment.MAIL, f"{mail.kind} about {self._name(str(mail.about))}")
        if fault is Kind.AWAY_NOT_DONE:
            raise EffectUnavailable("the mail server does not answer")
        await asyncio.sleep(POST_S)
        self._post.taken[str(mail.about), f"{mail.kind}:{mail.part}" if mail.part else mail.kind] += 1
        await self._host.leaves(fault)
        if fault is Kind.AWAY_DONE:
            raise EffectUnavailable("the mail server hung up")
        return Sent()
