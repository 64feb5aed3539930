"""Telling stories to deciders: given these messages, then those are said. The cast is in tests/examples.py."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests import tables
from tests.tables import Deck


def told(deck: Deck, history: Iterable[Any], around: Mapping[str, Any] | None = None) -> list[str]:
    """The names of everything said during a history, in order."""
    says = tables.told(deck.aggregate, history, deck.around if around is None else around).says
    return [type(said).__name__ for said in says]


def last_said(deck: Deck, history: Iterable[Any], around: Mapping[str, Any] | None = None) -> Any:
    """The last message of a story, whole."""
    return tables.told(deck.aggregate, history, deck.around if around is None else around).says[-1]


def state_after(deck: Deck, history: Iterable[Any]) -> Any:
    return tables.told(deck.aggregate, history, deck.around).state
