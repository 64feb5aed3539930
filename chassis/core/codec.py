"""State <-> JSON-compatible document. A document may come from an older or a newer release.

During a rolling update, and after a rollback, a release reads documents of a newer one. It ignores fields
that it does not know, and keeps them when it writes the document: the newer release finds them again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter

Json = dict[str, Any]
S = TypeVar("S")


@dataclass(frozen=True)
class _Object:
    """The names of an object's known fields, and the shapes of those fields that contain objects."""

    names: frozenset[str]
    inner: "Mapping[str, _Shape]"


@dataclass(frozen=True)
class _List:
    items: "_Shape"


@dataclass(frozen=True)
class _Mapping:
    values: "_Shape"


_Shape = _Object | _List | _Mapping


class Codec(Generic[S]):
    """Reads and writes states of one type."""

    def __init__(self, state: type[S]) -> None:
        self._adapter: TypeAdapter[S] = TypeAdapter(state)
        self._shape = _shape_of(state, ())

    def load(self, document: Mapping[str, Any]) -> S:
        """Raises ValueError if it cannot be read. Unknown fields are ignored at every depth."""
        return self._adapter.validate_python(document, extra="ignore")

    def dump(self, state: S, stored: Mapping[str, Any] | None = None) -> Json:
        """`stored`: the document that this one replaces; what is unknown in it is kept.

        An item of a list keeps its unknown fields while its known ones stay the same.
        """
        document: Json = self._adapter.dump_python(state, mode="json")
        if stored is not None and self._shape is not None:
            _keep_unknown(stored, document, self._shape)
        return document


def _keep_unknown(stored: Any, written: Any, shape: _Shape) -> None:
    match shape, stored, written:
        case _Object(names, inner), dict(), dict():
            for name in stored.keys() - names:
                written.setdefault(name, stored[name])
            for name, of in inner.items():
                if value := stored.get(name):
                    _keep_unknown(value, written.get(name), of)
        case _Mapping(values), dict(), dict():
            for name in stored.keys() & written.keys():
                _keep_unknown(stored[name], written[name], values)
        case _List(items), list(), list():
            for value in stored:
                if not _is_known(value, items) and (known := _known_part(value, items)) in written:
                    _keep_unknown(value, written[written.index(known)], items)


def _is_known(value: Any, shape: _Shape) -> bool:
    match shape, value:
        case _Object(names, inner), dict():
            known = value.keys() <= names
            return known and all(_is_known(value.get(name), of) for name, of in inner.items())
        case _Mapping(values), dict():
            return all(_is_known(each, values) for each in value.values())
        case _List(items), list():
            return all(_is_known(each, items) for each in value)
        case _:
            return True


def _known_part(value: Any, shape: _Shape | None) -> Any:
    match shape, value:
        case _Object(names, inner), dict():
            return {n: _known_part(each, inner.get(n)) for n, each in value.items() if n in names}
        case _Mapping(values), dict():
            return {n: _known_part(each, values) for n, each in value.items()}
        case _List(items), list():
            return [_known_part(each, items) for each in value]
        case _:
            return value


def _shape_of(annotation: Any, within: tuple[Any, ...]) -> _Shape | None:
    """None for a scalar, for a type that contains itself, and for a choice between several objects."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape_of(get_args(annotation)[0], within)
    if annotation in within:
        return None
    if isinstance(annotation, type) and origin is None:
        known = dict(_fields_of(annotation, (*within, annotation)))
        inner_shapes = {name: shape for name, shape in known.items() if shape is not None}
        return _Object(frozenset(known), inner_shapes) if known else None
    inner = [shape for each in get_args(annotation) if (shape := _shape_of(each, within)) is not None]
    if not inner or (origin in (Union, UnionType) and len(inner) > 1):
        return None
    if origin in (Union, UnionType):
        return inner[0]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _Mapping(inner[-1])
    return _List(inner[0])


def _fields_of(of: type, within: tuple[Any, ...]) -> Iterator[tuple[str, _Shape | None]]:
    if is_dataclass(of):
        hints = get_type_hints(of)
        for field in fields(of):
            yield field.name, _shape_of(hints[field.name], within)
    elif issubclass(of, BaseModel):
        for name, info in of.model_fields.items():
            yield name, _shape_of(info.annotation, within)
