"""Names: tests stand in their folders and have short names, and no identifier has a retired word."""

import ast
import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.support.source_files import PACKAGES, ROOT, Source, sources

TESTS = ROOT / "tests"
FOLDERS = {
    "browser": "the shop in a real browser",
    "chaos": "faults in a shop under load",
    "conformance": "one suite for all buses, stores, deciders or HTTP APIs",
    "integration": "several parts together, most on a real broker and a real database",
    "scale": "a million orders",
    "simulation": "all services in virtual time",
    "style": "rules about code, documents and images",
    "support": "what several tests share",
    "system": "services as processes of their own",
    "unit": "one package, in the folders of the package",
}
WORDS_MAX = 10
RETIRED = tomllib.loads((TESTS / "style" / "retired_names.toml").read_text())


def complain(sentences: Iterator[str]) -> None:
    found = list(sentences)
    assert not found, "\n" + "\n".join(found)


def test_tests_stand_in_the_known_folders() -> None:
    known = ", ".join(f"{name} ({content})" for name, content in FOLDERS.items())
    complain(
        f"{source.path}: move it to one of {known}"
        for source in sources("tests")
        if source.path.parts[1] not in {*FOLDERS, "conftest.py"}
    )


def test_unit_tests_mirror_the_packages() -> None:
    complain(
        f"{source.path}: there is no folder {'/'.join(source.path.parts[2:-1])}; move it beside its "
        "package's tests"
        for source in sources("tests/unit")
        if source.path.parts[2] not in PACKAGES or not (ROOT / "/".join(source.path.parts[2:-1])).is_dir()
    )


def test_names_of_tests_have_at_most_ten_words() -> None:
    complain(
        f"{source.path}:{function.lineno}: {function.name} has more than {WORDS_MAX} words; name the "
        "behaviour"
        for source in sources("tests")
        for function, _ in source.functions()
        if function.name.startswith("test_") and function.name.count("_") > WORDS_MAX
    )


def test_no_identifier_has_a_retired_word() -> None:
    complain(sentence for source in sources() for sentence in _retired(source))


def _retired(source: Source) -> Iterator[str]:
    for line, name in sorted(set(_identifiers(source.tree))):
        parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("dead_letter", "dead").split("_")
        found = [part for part in parts if part in RETIRED["words"]]
        if found and name not in RETIRED["words_kept"] and source.path.parts[1:2] != ("illustrations",):
            yield f"{source.path}:{line}: {name}: write {RETIRED['words'][found[0]]} for {found[0]!r}"


def _identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The names that a module defines: functions, classes, parameters, variables and attributes."""
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


@pytest.mark.parametrize(
    "code", ["def tell(): ...", "letters = []", "class DoorMan: ...", "lambda told_by: 0", "self.heard = 1"]
)
def test_a_retired_word_is_noticed(code: str) -> None:
    made = Source(TESTS.relative_to(ROOT) / "made_up.py")
    made.__dict__["text"] = code  # where cached_property keeps it
    assert len(list(_retired(made))) == 1


def test_dead_letters_are_no_retired_word() -> None:
    made = Source(TESTS.relative_to(ROOT) / "made_up.py")
    made.__dict__["text"] = "dead_letters = [DeadLetter()]\nclass DeadLetterGroup: ..."
    assert not list(_retired(made))
