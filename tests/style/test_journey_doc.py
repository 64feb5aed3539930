"""docs/journey.md names functions, classes and fields that exist, in the file that it names beside them."""

import ast
import keyword
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.support.source_files import PACKAGES, ROOT, complain, sources

WALK = (ROOT / "docs" / "journey.md").read_text()
_NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)`")
# `name` in some/file.py, or `name` (some/file.py)
_IN_FILE = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)`\s+(?:in\s+\[?|\(\[)([\w/]+\.py)")
_ROW = re.compile(r"^\| ([^|]*\.py[^|]*) \| (.+) \|$", re.M)
_QUEUE = re.compile(r"\w+_svc\.(?:commands|events|dead|rejected)")


def test_the_walk_through_a_journey_names_existing_code() -> None:
    complain(_stale(WALK))


@pytest.mark.parametrize(
    "text",
    [
        "`_write` in chassis/store/mongodb.py",  # defined elsewhere
        "`_write` in [chassis/store/mongodb.py](../chassis/store/mongodb.py)",
        "`_write` ([chassis/store/mongodb.py](../chassis/store/mongodb.py))",
        "`CustomerOrders.put_back`",
        "`orders.PlaceAnOrder`",
        "`NoSuchClass`",
        "`no_such_function`",
        "| order_svc/quote.py | `dispatch` adds the fee |",
    ],
)
def test_a_stale_name_is_noticed(text: str) -> None:
    assert list(_stale(text))


def _stale(text: str) -> Iterator[str]:
    for name, path in _IN_FILE.findall(text):
        if name not in _defined(path) | _texts(path):
            yield f"docs/journey.md: {path} does not define {name}; write where it is, or its new name"
    for cell, change in _ROW.findall(text):
        files = [path for path in re.findall(r"(?<![(./])\b[\w/]+\.py", cell) if (ROOT / path).exists()]
        for name in _NAME.findall(change):
            if not any(name in _defined(path) | _used(path) for path in files):
                yield f"docs/journey.md: {name} is not in {cell}; write where it is, or its new name"
    for name in _NAME.findall(text):
        known = _QUEUE.fullmatch(name) or name in {*keyword.kwlist, *keyword.softkwlist}
        if not known and name not in _everything():
            yield f"docs/journey.md: {name} is neither defined nor a text in the code; write its new name"


@cache
def _tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


@cache
def _defined(path: str) -> frozenset[str]:
    """Functions, classes, parameters and variables, also as `module.name`; members also as `Class.member`."""
    names = set(_names_in(_tree(path)))
    return frozenset(names | {f"{(ROOT / path).stem}.{name}" for name in names})


def _names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name, body=body):
                yield name
                yield from (f"{name}.{member}" for statement in body for member in _targets(statement))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def _targets(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            yield name


@cache
def _used(path: str) -> frozenset[str]:
    nodes = list(ast.walk(_tree(path)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return frozenset(names | {node.attr for node in nodes if isinstance(node, ast.Attribute)})


@cache
def _texts(path: str) -> frozenset[str]:
    """The strings of a file, such as a status or the name of an exchange."""
    values = (node.value for node in ast.walk(_tree(path)) if isinstance(node, ast.Constant))
    return frozenset(value for value in values if isinstance(value, str))


@cache
def _everything() -> frozenset[str]:
    paths = [source.path.as_posix() for source in sources(*PACKAGES)]
    return frozenset().union(*(_defined(path) | _texts(path) for path in paths))
