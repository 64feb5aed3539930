"""Copies what a program imports: `python program_code.py CHECKOUT DESTINATION MODULE…`.

The build of an image runs it with the modules that containers of the image start. The image then holds
these modules, what they import, directly or through others, and the data files of their packages; and nothing
else of the checkout. `python DESTINATION` runs the first module.

The base image runs this file before anything is installed, so it needs the standard library only.
"""

import ast
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DATA_SUFFIXES = frozenset({".css", ".html", ".js", ".json", ".svg", ".txt"})
PUBLISHED_ONLY = Path("contracts", "schemas")  # documents, which no program reads
STARTER = "from runpy import run_module\n\nrun_module({module!r}, run_name='__main__', alter_sys=True)\n"


@dataclass
class ProgramCode:
    """`files`: paths relative to the checkout. `libraries`: dotted names that are imported from elsewhere."""

    files: set[Path] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)


def code_of(checkout: Path, modules: list[str]) -> ProgramCode:
    """What these modules import. A `*` in a name stands for any package.

    Raises LookupError for a module that is not in the checkout.
    """
    found = ProgramCode()
    left = [module for pattern in modules for module in _matching(checkout, pattern)]
    while left:
        for file in _files_of(checkout, left.pop()):
            if file not in found.files:
                found.files.add(file)
                for name in _imported(ast.parse((checkout / file).read_text())):
                    if (checkout / name.partition(".")[0]).is_dir():
                        left.append(name)
                    elif name.partition(".")[0] not in sys.stdlib_module_names:
                        found.libraries.add(name)
    found.files |= set(_data_files(checkout, found.files))
    return found


def _matching(checkout: Path, pattern: str) -> list[str]:
    names = [pattern]
    if "*" in pattern:
        files = sorted(checkout.glob(f"{pattern.replace('.', '/')}.py"))
        names = [".".join(file.relative_to(checkout).with_suffix("").parts) for file in files]
    if not names or any(_file_of(checkout, name) is None for name in names):
        raise LookupError(f"{checkout} has no module {pattern}")
    return names


def _files_of(checkout: Path, name: str) -> Iterator[Path]:
    """The module, and the packages that Python imports before it. The last part may name an object in one."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        if file := _file_of(checkout, ".".join(parts[:length])):
            yield file


def _file_of(checkout: Path, module: str) -> Path | None:
    path = Path(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((each for each in candidates if (checkout / each).is_file()), None)


def _imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names: modules, and objects of modules. Imports for type checkers only are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"line {node.lineno}: import with the whole name of the module")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from (name for other in node.orelse for name in _imported(other))
        else:
            yield from _imported(node)


def _data_files(checkout: Path, files: set[Path]) -> Iterator[Path]:
    """Of each package: what lies in its folder, and in folders that are no packages themselves."""
    for package in {file.parent for file in files if file.name == "__init__.py"}:
        left = [checkout / package]
        while left:
            for path in left.pop().iterdir():
                relative = path.relative_to(checkout)
                if path.is_dir():
                    is_package = (path / "__init__.py").exists()
                    left += [] if is_package or relative == PUBLISHED_ONLY else [path]
                elif path.suffix in DATA_SUFFIXES:
                    yield relative


def main() -> None:
    checkout, destination, *modules = sys.argv[1:]
    for file in sorted(code_of(Path(checkout), modules).files):
        target = Path(destination, file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(checkout, file), target)
    Path(destination, "__main__.py").write_text(STARTER.format(module=modules[0]))


if __name__ == "__main__":
    main()
