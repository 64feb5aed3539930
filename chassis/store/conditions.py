"""The conditions of a query about states: as a query of MongoDB, and evaluated in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Where = Mapping[str, Any]
"""A dotted path of the state -> a condition on its value. All of them hold.

A value: it equals it. A list: it is a list that contains all of these. A frozenset: it equals one of these. A
Between: it is a text within these bounds. A tuple of conditions: all of them. If the path leads to a list, or
through one, an item may fulfil the condition.
"""

IndexPath = str | tuple[str, ...]
"""A dotted path of the state that an index has, or several: their order is that of the index."""


@dataclass(frozen=True, slots=True)
class Between:
    """A text that is not before `first` and is before `end`. An empty `end` is no bound."""

    first: str = ""
    end: str = ""


def mongo_query(where: Where | None) -> dict[str, Any]:
    clauses = [
        {f"state.{path}": _operators(each)}
        for path, condition in (where or {}).items()
        for each in (condition if isinstance(condition, tuple) else (condition,))
    ]
    return {"$and": clauses} if clauses else {}


def holds(state: Any, where: Where | None) -> bool:
    return all(
        _is_fulfilled(condition, list(_values(state, path.split("."))))
        for path, condition in (where or {}).items()
    )


def value_at(state: Any, path: str) -> Any:
    """None if there is nothing at the path."""
    return next(iter(_values(state, path.split("."))))


def _operators(condition: Any) -> dict[str, Any]:
    match condition:
        case Between(first, end):
            return {"$gte": first, **({"$lt": end} if end else {})}
        case frozenset():
            return {"$in": sorted(condition)}
        case list():
            return {"$all": condition}
        case _:
            return {"$eq": condition}


def _is_fulfilled(condition: Any, values: list[Any]) -> bool:
    match condition:
        case Between(first, end):
            return any(isinstance(each, str) and first <= each and (not end or each < end) for each in values)
        case tuple():
            return all(_is_fulfilled(each, values) for each in condition)
        case frozenset():
            return any(each in condition for each in values if not isinstance(each, list | dict))
        case list():
            return bool(condition) and all(each in values for each in condition)
        case _:
            return condition in values


def _values(value: Any, path: list[str]) -> Iterable[Any]:
    """The value at the path, and if it is a list, its items."""
    if not path:
        return [value, *value] if isinstance(value, list) else [value]
    if isinstance(value, list):
        return [found for item in value for found in _values(item, path)] or [None]
    return _values(value.get(path[0]) if isinstance(value, Mapping) else None, path[1:])
