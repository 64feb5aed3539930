"""Breaking contract changes are detected: tests of the checker,
and of the code against the checked-in schemas.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.catalog import CATALOG
from tests.support.documents import ROOT, SCHEMAS, broken_contracts, schema_of
from tests.support.schema_compatibility import breaking_changes, removed_types

OLD: dict[str, Any] = {
    "type": "object",
    "$defs": {
        "Money": {
            "type": "object",
            "properties": {"amount": {"type": "integer", "minimum": 0, "maximum": 100}},
            "required": ["amount"],
        }
    },
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "sku": {"type": "string", "pattern": "^[A-Z]+$", "maxLength": 9},
        "seen": {"anyOf": [{"$ref": "#/$defs/Money"}, {"type": "null"}]},
        "lines": {"type": "array", "maxItems": 5, "items": {"$ref": "#/$defs/Money"}},
        "note": {"type": "string"},
    },
    "required": ["id", "kind"],
    "x-subject": "id",
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """OLD with the value at a path set, or removed if it is None."""
    schema: dict[str, Any] = json.loads(json.dumps(OLD))
    *parents, last = path.split("/")
    node = schema
    for parent in parents:
        node = node[parent]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return schema


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("properties/note", None, "note: removed or renamed"),
        ("properties/note/type", "integer", "note: retyped from string to integer"),
        ("required", ["id", "kind", "note"], "note: newly required"),
        ("required", ["id"], "kind: no longer required"),
        ("properties/kind/enum", ["a"], "kind: no longer allows b"),
        ("properties/note/enum", ["a"], "note: no longer allows every other value"),
        ("properties/sku/maxLength", 8, "sku: maxLength narrowed from 9 to 8"),
        ("properties/sku/minLength", 1, "sku: minLength narrowed from none to 1"),
        ("properties/sku/pattern", "^[A-Z]{3}$", "sku: pattern changed"),
        ("properties/note/pattern", "^x$", "note: pattern changed from none"),
        ("properties/note/format", "uuid", "note: format changed from none"),
        ("properties/lines/maxItems", 4, "lines: maxItems narrowed from 5 to 4"),
        ("properties/lines/minItems", 1, "lines: minItems narrowed from none to 1"),
        ("properties/lines/items", {"type": "string"}, "lines[]: retyped from object to string"),
        ("$defs/Money/properties/amount/minimum", 1, "lines[].amount: minimum narrowed from 0 to 1"),
        ("$defs/Money/properties/amount/maximum", 99, "seen.amount: maximum narrowed from 100 to 99"),
        ("$defs/Money/properties/amount", None, "seen.amount: removed or renamed"),
        ("properties/seen/anyOf", [{"$ref": "#/$defs/Money"}], "seen: may no longer be null"),
        ("properties/note", {"anyOf": [{"type": "string"}, {"type": "null"}]}, "note: may now be null"),
        ("x-subject", "sku", "message: x-subject changed from id to sku"),
    ],
)
def test_a_breaking_change_is_named_with_its_field(path: str, value: Any, sentence: str) -> None:
    assert any(emitted.startswith(sentence) for emitted in breaking_changes(OLD, changed(path, value)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/colour", {"type": "string"}),
        ("properties/kind/enum", ["a", "b", "c"]),
        ("properties/sku/maxLength", 10),
        ("properties/sku/maxLength", None),
        ("properties/lines/maxItems", 6),
        ("$defs/Money/properties/amount/maximum", 1_000),
        ("$defs/Money/properties/currency", {"type": "string"}),
        ("description", "said otherwise"),
        ("properties/note/title", "Remark"),
    ],
)
def test_compatible_changes_are_not_reported(path: str, value: Any) -> None:
    assert breaking_changes(OLD, changed(path, value)) == []


def test_a_removed_message_is_named() -> None:
    assert removed_types({"order.placed.v1", "order.place.v1"}, {"order.place.v1"}) == [
        "order.placed.v1: the message is gone; stored and queued ones could not be read"
    ]


def test_no_contract_breaks_its_published_schema() -> None:
    assert broken_contracts() == []


def test_a_change_of_a_real_contract_is_noticed(tmp_path: Path) -> None:
    schemas = tmp_path / SCHEMAS
    schemas.mkdir(parents=True)
    published = json.loads(schema_of(CATALOG["order.place.v1"]))
    published["properties"]["lines"]["maxItems"] = 60
    published["properties"]["voucher"] = {"type": "string"}
    (schemas / "order.place.v1.json").write_text(json.dumps(published))
    (schemas / "order.forgotten.v1.json").write_text("{}")
    assert broken_contracts(tmp_path) == [
        "order.forgotten.v1: the message is gone; stored and queued ones could not be read",
        "order.place.v1: voucher: removed or renamed",
        "order.place.v1: lines: maxItems narrowed from 60 to 50",
    ]


def test_every_message_has_a_checked_in_schema() -> None:
    assert {path.stem for path in (ROOT / SCHEMAS).glob("*.json")} == set(CATALOG)
