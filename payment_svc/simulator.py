"""A card provider that behaves like a real one, for demos, tests and benchmarks. No money moves.

Its ledger is durable: one document per idempotency key. An authorisation's document also counts what was
captured and refunded of it. These card tokens have special behaviour; every other token is approved:

tok_declined, tok_no_funds, tok_expired   the issuer declines
tok_slow                                  every response takes 1.5 s
tok_timeout_done                          done, but the first response of each key never arrives
tok_flaky                                 the first call of each key fails with a 5xx, and nothing is done
tok_capture_refused                       authorised, but never captured
tok_capture_refused_once                  authorised, and captured under a second key only
tok_down                                  never a response, and nothing is ever done

Only this process remembers which call is the first of its key, whether there is an outage, and which faults
are on. During an outage no call is executed or gets a response, whatever the card.
"""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from chassis.core.codec import Codec
from chassis.store.protocol import Change, Loaded, Store, StoreUnavailable, WriteConflicts
from payment_svc import payment as card
from payment_svc.ledger import Ledger, LedgerEntry, authorization_key, settle
from payment_svc.payment import CardRequest
from payment_svc.provider import ProviderRefused, ProviderUnavailable

LEDGER = "ledger"
SLOW_S = 1.5
_SAVES_MAX = 8
_FAULTY_ONCE = ("tok_timeout_done", "tok_flaky")

_entries = Codec(LedgerEntry)

Document = dict[str, object]


class ProviderFault(StrEnum):
    """A fault for all cards. Silent: no response, and nothing is done."""

    SLOW = "provider-slow"
    DECLINING = "provider-declining"
    SILENT = "provider-silent"


@dataclass(slots=True, eq=False)
class _Call:
    request: CardRequest
    response: "asyncio.Future[Document]"
    first: bool = True
    card_token: str = ""
    result: Document | Exception | None = None  # None: no response

    def finish(self) -> None:
        if self.response.done() or self.result is None:  # the caller gave up, or there is never a response
            return
        if isinstance(self.result, Exception):
            self.response.set_exception(self.result)
        else:
            self.response.set_result(self.result)


class SimulatedProvider:
    """See payment_svc.provider.Provider. Concurrent calls share one read and one write."""

    def __init__(self, store: Store, latency_ms: float = 0.0) -> None:
        self._store = store
        self._latency_s = latency_ms / 1000
        self._waiting: list[_Call] = []
        self._writer: asyncio.Task[None] | None = None
        self._failed_once: set[str] = set()
        self.outage = False
        self.faults: set[ProviderFault] = set()

    async def start(self) -> None:
        """Raises StoreUnavailable."""
        await self._store.start({LEDGER: ()})

    async def stop(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
        await self._store.stop()

    async def authorize(self, request: card.AuthorizeCard) -> Document:
        return await self._call(request)

    async def capture(self, request: card.CaptureAmount) -> Document:
        return await self._call(request)

    async def void(self, request: card.VoidAuthorization) -> Document:
        return await self._call(request)

    async def refund(self, request: card.RefundAmount) -> Document:
        return await self._call(request)

    async def find(self, key: str) -> Document | None:
        await self._reached()
        try:
            loaded = (await self._store.load(LEDGER, [key]))[key]
        except StoreUnavailable as error:
            raise ProviderUnavailable("503") from error
        return _entry(loaded).document(key) if loaded.state else None

    async def ledger(self, after: str, limit: int) -> list[tuple[str, LedgerEntry]]:
        """A page of the ledger, by key. Raises StoreUnavailable."""
        found = await self._store.find(LEDGER, after=after, limit=limit)
        return [(loaded.key, _entry(loaded)) for loaded in found]

    async def _reached(self) -> None:
        await asyncio.sleep(self._latency_s + (SLOW_S if ProviderFault.SLOW in self.faults else 0))
        if self.outage:
            raise ProviderUnavailable("503")
        if ProviderFault.SILENT in self.faults:
            await asyncio.Event().wait()

    async def _call(self, request: CardRequest) -> Document:
        await self._reached()
        call = _Call(request, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        return await call.response

    async def _write_waiting(self) -> None:
        """Calls that arrive during a write form the next batch."""
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                await self._write(group)
            except Exception as error:  # passed to each caller: a 503, or a bug
                for call in group:
                    call.result = ProviderUnavailable("503") if isinstance(error, StoreUnavailable) else error
            for call in group:
                self._finish(call)

    async def _write(self, group: list[_Call]) -> None:
        keys = {key for call in group for key in (call.request.key, authorization_key(call.request))}
        # Only a change to an authorisation writes two documents; a new authorisation writes one.
        together = not all(isinstance(call.request, card.AuthorizeCard) for call in group)
        for attempt in range(_SAVES_MAX):
            loaded = await self._store.load(LEDGER, keys)
            ledger = {key: _entry(document) for key, document in loaded.items() if document.state}
            changed: Ledger = {}
            for call in group:
                changed |= self._settle(call, ledger)
            changes = [Change(loaded[key], _entries.dump(entry)) for key, entry in changed.items()]
            if not changes or await self._store.save(changes, together=together):
                return
            await asyncio.sleep(0.002 * 2**attempt)
        raise WriteConflicts(f"{_SAVES_MAX} consecutive writes met newer versions")

    def _settle(self, call: _Call, ledger: Ledger) -> Ledger:
        """The changed entries, which are in the ledger afterwards.

        Sets the call's result, or None for no response.
        """
        request = call.request
        held = ledger.get(authorization_key(request))
        token = (
            request.card_token if isinstance(request, card.AuthorizeCard) else held.card_token if held else ""
        )
        call.card_token = token
        call.first = request.key not in self._failed_once
        call.result = None
        if token == "tok_down":
            return {}
        if token == "tok_flaky" and call.first:
            call.result = ProviderUnavailable("500")
            return {}
        try:
            changed = settle(request, ledger, declining=ProviderFault.DECLINING in self.faults)
        except ProviderRefused as error:
            call.result = error
            return {}
        ledger |= changed
        if not (token == "tok_timeout_done" and call.first):
            call.result = ledger[request.key].document(request.key)
        return changed

    def _finish(self, call: _Call) -> None:
        if call.card_token in _FAULTY_ONCE:
            self._failed_once.add(call.request.key)
        if call.card_token == "tok_slow":
            asyncio.get_running_loop().call_later(SLOW_S, call.finish)
        else:
            call.finish()


def _entry(loaded: Loaded) -> LedgerEntry:
    entry: LedgerEntry = _entries.load(loaded.state or {})
    return entry
