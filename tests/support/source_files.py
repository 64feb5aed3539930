"""What the style rules check: the project's Python files and their syntax trees."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from tests.support.service_folders import service_folders

ROOT = Path(__file__).resolve().parents[2]
SERVICE_PACKAGES = service_folders(ROOT)
PACKAGES = ("contracts", "chassis", *SERVICE_PACKAGES, "gateway", "journey", "operations", "bench")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: Path

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    @cached_property
    def code_lines(self) -> frozenset[int]:
        """The numbers of the lines with code: no blank lines, comments or docstrings."""
        skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        lines = {
            line
            for token in tokenize.generate_tokens(io.StringIO(self.text).readline)
            if token.type not in (*skipped, tokenize.ENDMARKER)
            for line in range(token.start[0], token.end[0] + 1)
        }
        return frozenset(lines - self._docstring_lines)

    def prose(self) -> Iterator[tuple[int, str]]:
        """(line, text) of every docstring and comment."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                yield node.lineno, str(node.value.value)
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string

    @property
    def _docstring_lines(self) -> set[int]:
        documented = [n for n in ast.walk(self.tree) if isinstance(n, ast.Module | ast.ClassDef | Function)]
        texts = [node.body[0] for node in documented if ast.get_docstring(node) is not None]
        return {line for text in texts for line in range(text.lineno, (text.end_lineno or 0) + 1)}

    def functions(self) -> Iterator[tuple[Function, int]]:
        """Every function and its number of code lines, without those of nested functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                inner = [n for n in ast.walk(node) if isinstance(n, Function) and n is not node]
                lines = _lines(node) - {line for function in inner for line in _lines(function)}
                yield node, len(lines & self.code_lines)

    @cached_property
    def identifiers(self) -> list[tuple[int, str]]:
        """(line, name) of everything that the file names: functions, classes, parameters, variables,
        attributes and aliases.
        """
        return sorted(set(_identifiers(self.tree)))

    def imports(self) -> Iterator[tuple[str, str]]:
        """(module, name) of everything imported; the name is empty for `import module`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node.module or "", alias.name) for alias in node.names)


def _identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield getattr(node, "lineno", 1), name


def _lines(node: Function) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


@cache
def sources(*packages: str) -> tuple[Source, ...]:
    """The Python files of some packages, or of all packages, the tools and the tests."""
    folders = packages or (*PACKAGES, "tools", "tests")
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(Source(path.relative_to(ROOT)) for path in paths)


@cache
def deciding() -> tuple[Source, ...]:
    """The deciders, and the modules of the same service that they use."""
    by_module = {".".join(source.path.with_suffix("").parts): source for source in sources(*SERVICE_PACKAGES)}
    left = [
        module for module, source in by_module.items() if any(_decides(node) for node in source.tree.body)
    ]
    found: dict[str, Source] = {}
    while left:
        module = left.pop()
        if module in by_module and module not in found:
            found[module] = by_module[module]
            for imported, name in found[module].imports():
                left += [imported, f"{imported}.{name}"]
    return tuple(found.values())


def _decides(node: ast.stmt) -> bool:
    return (
        isinstance(node, Function) and node.returns is not None and "Decision[" in ast.unparse(node.returns)
    )


def dotted(node: ast.AST) -> str:
    """`a.b.c` for an attribute or a name, else empty."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def complain(sentences: Iterator[str]) -> None:
    """Fail with these sentences, if there are any."""
    found = list(sentences)
    assert not found, "\n" + "\n".join(found)
