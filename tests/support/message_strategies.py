"""Hypothesis strategies for the messages of any contract, from its JSON Schema;
new messages need no code here.
"""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from chassis.messaging.message import Message


def messages(contract: type[Message]) -> st.SearchStrategy[Message]:
    """Messages that break a rule outside the schema, such as a title's visible character,
    are filtered out.
    """
    schema = contract.model_json_schema()
    return _values(schema, schema).filter(lambda made: _is_valid(contract, made)).map(contract.model_validate)


def _is_valid(contract: type[Message], made: Any) -> bool:
    try:
        contract.model_validate(made)
    except ValidationError:
        return False
    return True


def _values(schema: Mapping[str, Any], root: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _values(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return st.one_of([_values(variant, root) for variant in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object":
            return _objects(schema, root)
        case "array":
            least = schema.get("minItems", 0)
            most = min(schema.get("maxItems", 3), 3)
            return st.lists(_values(schema["items"], root), min_size=least, max_size=most)
        case "integer":
            return st.integers(schema.get("minimum", -(2**31)), schema.get("maximum", 2**31))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "string":
            return _strings(schema)
    raise AssertionError(f"message_strategies.py has no strategy for {schema}")


def _objects(schema: Mapping[str, Any], root: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: _values(field, root) for name, field in schema["properties"].items()}
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: made for name, made in fields.items() if name in required},
        optional={name: made for name, made in fields.items() if name not in required},
    )


def _strings(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "uuid":
        return st.uuids().map(str)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"].removesuffix("$") + r"\Z", fullmatch=True)
    return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 50))
