"""Finds uses of foreign names that begin with an underscore, and undocumented parts that have disappeared."""

import ast
import asyncio
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import aiormq
import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.source_files import PACKAGES, Function, Source, dotted, sources

# The documented methods of named tuples begin with an underscore so that they do not clash with fields.
_NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}
_BY_NAME = {"delattr", "getattr", "hasattr", "setattr"}


@dataclass(frozen=True)
class PrivatePart:
    """An undocumented part of a library.

    `name`: the path to a class attribute, an instance attribute, a function or, in parentheses, a parameter.
    `modules`: the files that use it.
    """

    name: str
    modules: tuple[str, ...]
    reason: str

    @property
    def attribute(self) -> str:
        """The last part of the name, as the code spells it."""
        return self.name.rstrip(")").replace("(", ".").rpartition(".")[2]

    def problem(self) -> str:
        """Why the part is missing; empty if the library has it."""
        path, _, parameter = self.name.rstrip(")").partition("(")
        holder, names = _imported(path)
        for position, name in enumerate(names):
            if (
                position == len(names) - 1
                and isinstance(holder, type)
                and name in instance_attributes(holder)
            ):
                return ""
            if not hasattr(holder, name):
                return self._message(name)
            holder = getattr(holder, name)
        if parameter and parameter not in inspect.signature(holder).parameters:
            return self._message(parameter)
        return ""

    def _message(self, name: str) -> str:
        return f"{self.name}: {name} is gone; {', '.join(self.modules)} use it: {self.reason}"


@dataclass(frozen=True)
class PrivateBehaviour:
    """What a library does without documenting it.

    `tested_by`: a test of the product that fails without the behaviour. `missing`: returns what has changed
    in the library; empty if nothing has. Each behaviour has at least one of them.
    """

    name: str
    modules: tuple[str, ...]
    reason: str
    tested_by: str = ""
    missing: Callable[[], str] | None = None


def stream_methods_of_aiormq() -> str:
    """aiormq gets a TapReader, which has only these methods of a StreamReader."""
    source = ast.parse(Path(aiormq.connection.__file__).read_text())
    receiver = next(n for n in source.body if isinstance(n, ast.ClassDef) and n.name == "FrameReceiver")
    called = {
        n.attr
        for n in ast.walk(receiver)
        if isinstance(n, ast.Attribute) and dotted(n.value) == "self.reader"
    }
    unknown = called - {"at_eof", "read", "readexactly"}
    return f"aiormq calls {', '.join(sorted(unknown))} on its StreamReader" if unknown or not called else ""


def sole_reader_of_aiormq() -> str:
    """Only FrameReceiver reads from the stream that the factory returns."""
    source = ast.parse(Path(aiormq.connection.__file__).read_text())
    connection = next(n for n in source.body if isinstance(n, ast.ClassDef) and n.name == "Connection")
    uses = [n for n in ast.walk(connection) if isinstance(n, ast.Attribute) and dotted(n.value) == "reader"]
    return f"aiormq.Connection uses reader.{uses[0].attr} beside FrameReceiver" if uses else ""


def whole_writes_of_aiormq() -> str:
    """One write for each queued entry, so that our frames come between frames and not into one."""
    source = Path(aiormq.connection.__file__).read_text()
    return (
        ""
        if "writer.write(channel_frame.payload)" in source
        else "aiormq writes entries of its queue in parts"
    )


def route_in_the_scope() -> str:
    return asyncio.run(_route_in_the_scope())


async def _route_in_the_scope() -> str:
    seen: list[Any] = []

    class Remember:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self._app(scope, receive, send)
            seen.append(scope.get("route"))

    app = FastAPI()
    app.get("/orders/{order_id}")(lambda order_id: order_id)
    app.add_middleware(Remember)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        await client.get("/orders/1")
    return (
        "" if getattr(seen[0], "path", "") == "/orders/{order_id}" else "FastAPI does not set scope['route']"
    )


def _imported(path: str) -> tuple[Any, list[str]]:
    """The longest part of the path that is a module, and the names after it."""
    names = path.split(".")
    for length in range(len(names), 0, -1):
        try:
            return importlib.import_module(".".join(names[:length])), names[length:]
        except ModuleNotFoundError:
            continue
    raise AssertionError(f"{names[0]} is not installed")


@cache
def instance_attributes(holder: type) -> frozenset[str]:
    """What the classes of the MRO declare with a type, or assign to self."""
    found: set[str] = set()
    for each in holder.__mro__:
        found |= set(inspect.get_annotations(each))
        for function in filter(inspect.isfunction, vars(each).values()):
            try:
                tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
            except OSError:  # made by exec, as the methods of a dataclass are
                continue
            found |= {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and dotted(node.value) == "self"
            }
    return frozenset(found)


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__")) and name != "_"


def is_foreign(module: str) -> bool:
    return module.partition(".")[0] not in (*PACKAGES, "tests", "examples", "")


@cache
def own_private_names() -> frozenset[str]:
    """Every private name that this project defines: functions, classes, variables,
    parameters and attributes.
    """
    found = set()
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, Function | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return frozenset(name for name in found if is_private(name))


def private_uses(source: Source, own: frozenset[str], listed: frozenset[str]) -> Iterator[tuple[int, str]]:
    """(line, name) of each use of a foreign private name.

    A private attribute of another object is foreign if this project defines no such name, or if the list of
    private parts has it, or if its object is an imported library. `own`: the private names that this project
    defines.
    """
    imported = dict(_imports(source.tree))
    for node in ast.walk(source.tree):
        yield from _imported_privately(node)
        if isinstance(node, ast.ClassDef):
            yield from _inherited(node, imported)
        for line, name, receiver in _accessed(node):
            library = imported.get(receiver.partition(".")[0], "")
            if name not in own or name in listed or (library and is_foreign(library)):
                yield line, name


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(local name, dotted path) of everything imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.asname or each.name.partition(".")[0], each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)


def _imported_privately(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Import):
        paths = [each.name for each in node.names]
    elif isinstance(node, ast.ImportFrom):
        paths = [f"{node.module}.{each.name}" for each in node.names]
    else:
        return
    for path in paths:
        for name in path.split("."):
            if is_foreign(path) and is_private(name):
                yield node.lineno, name


def _accessed(node: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, private name, its object) of `x._name` and of `getattr(x, "_name")`, except on self,
    cls and super().
    """
    if isinstance(node, ast.Attribute):
        receiver = dotted(node.value)
        of_super = isinstance(node.value, ast.Call) and dotted(node.value.func) == "super"
        own = receiver in ("self", "cls") or of_super or node.attr in _NAMED_TUPLE
        if is_private(node.attr) and not own:
            yield node.lineno, node.attr, receiver
    elif (
        isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in _BY_NAME and len(node.args) > 1
    ):
        name = node.args[1]
        if isinstance(name, ast.Constant) and isinstance(name.value, str) and is_private(name.value):
            yield node.lineno, name.value, dotted(node.args[0])


def _inherited(node: ast.ClassDef, imported: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Private names of a foreign base class that this class overrides or uses."""
    for base in node.bases:
        first, _, rest = dotted(base.value if isinstance(base, ast.Subscript) else base).partition(".")
        path = ".".join(filter(None, [imported.get(first, ""), rest]))
        if not path or not is_foreign(path):
            continue
        holder, names = _imported(path)
        for name in names:
            holder = getattr(holder, name)
        if not isinstance(holder, type) or holder.__module__ in ("builtins", "typing", "abc", "enum"):
            continue
        theirs = {each for each in (*dir(holder), *instance_attributes(holder)) if is_private(each)}
        for each in ast.walk(node):
            if isinstance(each, Function) and each.name in theirs:
                yield each.lineno, each.name
            elif (
                isinstance(each, ast.Attribute)
                and each.attr in theirs
                and dotted(each.value) in ("self", "cls", "")
            ):
                yield each.lineno, each.attr
