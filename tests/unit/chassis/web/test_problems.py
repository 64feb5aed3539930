"""A problem response shows where the input is wrong, and never repeats the input."""

from typing import Any

import pytest

from chassis.web.problems import WRONG_FIELDS_MAX, wrong_fields


def found(*loc: int | str, type_: str = "missing") -> dict[str, Any]:
    """An error as pydantic reports it."""
    return {"type": type_, "loc": loc, "msg": "Field required", "input": "a secret"}


@pytest.mark.parametrize(
    ("error", "pointer"),
    [
        (found("body", "lines", 0, "quantity"), "#/lines/0/quantity"),
        (found("body", "a/b~c"), "#/a~1b~0c"),
        (found("body", "x" * 1_000), "#/" + "x" * 100),
        (found("body"), "#"),
        (found("body", 17, type_="json_invalid"), "#"),
        (found("query", "limit"), "query/limit"),
        (found("header", "If-Match"), "header/If-Match"),
    ],
)
def test_a_wrong_field_gets_a_json_pointer(error: dict[str, Any], pointer: str) -> None:
    (wrong,) = wrong_fields([error])
    assert (wrong.pointer, wrong.detail) == (pointer, "Field required")


def test_only_the_first_wrong_fields_are_named() -> None:
    wrong = wrong_fields(found("body", str(number)) for number in range(100))
    assert [each.pointer for each in wrong] == [f"#/{number}" for number in range(WRONG_FIELDS_MAX)]
