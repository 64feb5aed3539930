"""Finds breaking changes of a message's JSON Schema.

Old and new code run side by side during every update, and messages are stored for weeks. So new readers must
understand old messages, and old readers new ones. A new optional field is compatible; so are wider limits and
more enum values, if readers are updated before writers. A breaking change needs a new version of the message.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

# Moving a limit this way excludes values that were allowed before.
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_EXACT = ("pattern", "format", "const", "x-kind", "x-owner", "x-subject")


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """One sentence per breaking change, with the field's name."""
    return list(_compare("", _resolved(old, old), _resolved(new, new)))


def removed_types(published: set[str], known: set[str]) -> list[str]:
    gone = sorted(published - known)
    return [f"{type_}: the message is gone; stored and queued ones could not be read" for type_ in gone]


def _resolved(schema: Any, root: Schema) -> Any:
    """The schema with all references resolved. Messages are finite trees, so this terminates."""
    if isinstance(schema, list):
        return [_resolved(item, root) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _resolved({**root["$defs"][name], **rest}, root)
    return {key: _resolved(value, root) for key, value in schema.items() if key != "$defs"}


def _compare(where: str, old: Schema, new: Schema) -> Iterator[str]:
    if "anyOf" in old or "anyOf" in new:
        yield from _compare_variants(where, old, new)
        return
    if old.get("type") != new.get("type"):
        yield f"{where or 'message'}: retyped from {old.get('type')} to {new.get('type')}"
        return
    yield from _compare_limits(where, old, new)
    if "properties" in old:
        yield from _compare_fields(where, old, new)
    if "items" in old:
        yield from _compare(f"{where}[]", old["items"], new.get("items", {}))


def _compare_variants(where: str, old: Schema, new: Schema) -> Iterator[str]:
    before, after = _variants(old), _variants(new)
    for kind in before.keys() - after.keys():
        yield f"{where}: may no longer be {kind}"
    for kind in after.keys() - before.keys():
        yield f"{where}: may now be {kind}, which old readers reject"
    for kind in before.keys() & after.keys():
        yield from _compare(where, before[kind], after[kind])


def _variants(schema: Schema) -> dict[str, Schema]:
    return {str(variant.get("type")): variant for variant in schema.get("anyOf", [schema])}


def _compare_fields(where: str, old: Schema, new: Schema) -> Iterator[str]:
    prefix = f"{where}." if where else ""
    fields, kept = old["properties"], new.get("properties", {})
    needed, needs = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(fields.keys() - kept.keys()):
        yield f"{prefix}{name}: removed or renamed"
    for name in sorted(needs - needed):
        yield f"{prefix}{name}: newly required, and old messages lack it"
    for name in sorted((needed - needs) & kept.keys()):
        yield f"{prefix}{name}: no longer required, but old readers need it"
    for name in sorted(fields.keys() & kept.keys()):
        yield from _compare(f"{prefix}{name}", fields[name], kept[name])


def _compare_limits(where: str, old: Schema, new: Schema) -> Iterator[str]:
    for limit in _UPPER:
        if limit in new and new[limit] < old.get(limit, float("inf")):
            yield f"{where}: {limit} narrowed from {old.get(limit, 'none')} to {new[limit]}"
    for limit in _LOWER:
        if limit in new and new[limit] > old.get(limit, float("-inf")):
            yield f"{where}: {limit} narrowed from {old.get(limit, 'none')} to {new[limit]}"
    for exact in _EXACT:
        if exact in new and old.get(exact) != new[exact]:
            yield f"{where or 'message'}: {exact} changed from {old.get(exact, 'none')} to {new[exact]}"
    if "enum" in new:
        gone = set(old["enum"]) - set(new["enum"]) if "enum" in old else {"every other value"}
        if gone:
            yield f"{where}: no longer allows {', '.join(sorted(gone))}"
