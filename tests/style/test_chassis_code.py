"""The chassis names what it passes and what it assigns, so that mypy and a reader can check each value."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.source_files import ROOT, Source, complain, sources

POSITIONAL_MAX = 3
ANY_NAME = ("super().", "telemetry.log.")
"""Calls of an overridden method pass on what they got; a log line takes any field."""
SPLATS = {
    # aiormq passes the options of asyncio.open_connection, and chooses which.
    ("chassis/bus/aiormq_frames/transport.py", "asyncio.open_connection"),
    # The caller names fields of the settings class that it passes; pydantic checks them.
    ("chassis/settings.py", "kind"),
}


def test_calls_name_their_arguments() -> None:
    """At most three are positional, and `**` passes none that mypy cannot check."""
    complain(sentence for source in sources("chassis") for sentence in _unnamed(source))


def _unnamed(source: Source) -> Iterator[str]:
    for call in ast.walk(source.tree):
        if not isinstance(call, ast.Call):
            continue
        line = f"{source.path}:{call.lineno}"
        callee = ast.unparse(call.func)
        if len(call.args) > POSITIONAL_MAX:
            yield (
                f"{line}: {callee} gets {len(call.args)} positional arguments, {POSITIONAL_MAX} are allowed;"
                " pass the others by name"
            )
        splat = any(keyword.arg is None for keyword in call.keywords)
        allowed = callee.startswith(ANY_NAME) or (source.path.as_posix(), callee) in SPLATS
        if splat and not allowed:
            yield f"{line}: {callee} gets a mapping with **; name each argument"


def test_an_assignment_has_one_name_a_line() -> None:
    complain(sentence for source in sources("chassis") for sentence in _packed(source))


def _packed(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
            continue
        if any(isinstance(target, ast.Tuple) for target in node.targets):
            shown = ast.unparse(node)[:60]
            yield f"{source.path}:{node.lineno}: {shown} assigns a tuple to a tuple; write a line each"


def test_no_callable_in_the_core_takes_any_arguments() -> None:
    complain(
        f"{source.path}:{node.lineno}: Callable[..., …] checks no argument; write a Protocol, as Decider "
        "in decision.py"
        for source in sources("chassis")
        if source.path.parts[:2] == ("chassis", "core")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node).startswith("Callable[...")
    )


@pytest.mark.parametrize("code", ["f(1, 2, 3, 4)", "f(**options)", "a, b = 1, 2"])
def test_the_rules_notice_what_they_forbid(code: str) -> None:
    made = Source(ROOT.relative_to(ROOT) / "made_up.py")
    made.__dict__["text"] = code  # where cached_property keeps it
    assert len([*_unnamed(made), *_packed(made)]) == 1
