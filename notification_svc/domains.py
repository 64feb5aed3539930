"""A bulkhead per receiving domain: one that does not answer, or defers everything,
never delays mails to others.

A domain gets a quarter of the mailer's slots until it has accepted a mail, and again after each failure. The
state is in memory, per instance, for a bounded number of domains; an evicted domain starts with a quarter
again.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SHARE = 4
DOMAINS_MAX = 10_000


class DomainBusy(Exception):
    """The domain's share is in use. `failing`: it has recently deferred a mail or did not answer."""

    def __init__(self, *, failing: bool) -> None:
        super().__init__("the receiving domain is failing" if failing else "the receiving domain is busy")
        self.failing = failing


@dataclass(slots=True)
class _Domain:
    in_flight: int = 0
    proven: bool = False
    failing: bool = False


class DomainShares:
    """`slots`: how many mails this instance sends concurrently."""

    def __init__(self, slots: int) -> None:
        self._share = max(1, slots // SHARE)
        self._domains: OrderedDict[str, _Domain] = OrderedDict()

    @contextmanager
    def slot(self, domain: str) -> Iterator[None]:
        """A slot for one attempt.

        Raises DomainBusy instead of waiting, because waiting would occupy a slot.
        """
        known = self._domains.setdefault(domain, _Domain())
        self._domains.move_to_end(domain)
        if not known.proven and known.in_flight >= self._share:
            raise DomainBusy(failing=known.failing)
        known.in_flight += 1
        try:
            yield
        finally:
            known.in_flight -= 1
            self._forget()

    def succeeded(self, domain: str) -> None:
        self._set(domain, proven=True, failing=False)

    def failed(self, domain: str) -> None:
        self._set(domain, proven=False, failing=True)

    def doubted(self, domain: str) -> None:
        """The mail server itself failed during a mail to this domain.

        The domain may or may not be the cause.
        """
        self._set(domain, proven=False, failing=False)

    def _set(self, domain: str, *, proven: bool, failing: bool) -> None:
        known = self._domains.setdefault(domain, _Domain())
        known.proven = proven
        known.failing = failing

    def _forget(self) -> None:
        idle = (name for name, known in self._domains.items() if not known.in_flight)
        while len(self._domains) > DOMAINS_MAX and (oldest := next(idle, None)) is not None:
            del self._domains[oldest]
            idle = (name for name, known in self._domains.items() if not known.in_flight)
