"""Names: tests stand in their folders and have short names, and no identifier has a retired word."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.source_files import PACKAGES, ROOT, Source, sources

TESTS = ROOT / "tests"
FOLDERS = {
    "browser": "the shop in a real browser",
    "chaos": "faults in a shop under load",
    "containers": "images, and the shop in containers",
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
        if source.path.parts[2] not in (*PACKAGES, "tools")
        or not (ROOT / "/".join(source.path.parts[2:-1])).is_dir()
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
    for line, name in source.identifiers:
        parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("dead_letter", "dead").split("_")
        found = [part for part in parts if part in RETIRED["words"]]
        if found and name not in RETIRED["words_kept"] and source.path.parts[1:2] != ("illustrations",):
            yield f"{source.path}:{line}: {name}: write {RETIRED['words'][found[0]]} for {found[0]!r}"


def test_words_of_identifiers_have_one_meaning() -> None:
    complain(sentence for source in sources() for sentence in _ambiguous(source))


def test_each_permitted_use_of_a_word_exists() -> None:
    """So that no exception remains after its code is gone."""
    used = {
        (word, name, source.path.as_posix())
        for source in sources()
        for _, name in source.identifiers
        for word in _words(name) & RETIRED["meanings"].keys()
    }
    complain(
        f"retired_names.toml: {word}: remove {permitted!r}; no identifier there has this word"
        for word, meaning in RETIRED["meanings"].items()
        for permitted in (*meaning.get("in", ()), *meaning.get("names", ()))
        if not any(
            word == used_word and (name == permitted or path.startswith(permitted))
            for used_word, name, path in used
        )
    )


def _ambiguous(source: Source) -> Iterator[str]:
    path = source.path.as_posix()
    for line, name in source.identifiers:
        for word in sorted(_words(name) & RETIRED["meanings"].keys()):
            meaning = RETIRED["meanings"][word]
            if name not in meaning.get("names", ()) and not path.startswith(tuple(meaning.get("in", ()))):
                means = f" ({word!r} is {meaning['is']})" if "is" in meaning else ""
                yield f"{path}:{line}: {name}: write {meaning['write']}{means}"


def _words(name: str) -> set[str]:
    return set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_"))


@pytest.mark.parametrize(
    ("path", "code", "complaints"),
    [
        ("chassis/made_up.py", "answer = 1", 1),
        ("chassis/made_up.py", "class OrderPicture: ...", 1),
        ("chassis/made_up.py", "class PlaceOrder: ...", 0),
        ("chassis/made_up.py", "place = 1", 1),
        ("order_svc/decider.py", "def place(): ...", 0),
        ("tests/unit/chassis/test_made_up.py", "place = 1", 1),
        ("tests/unit/chassis/test_made_up.py", "def test_a_step_is_handled(): ...", 1),
        ("tests/unit/gateway/orders/test_progress.py", "def test_a_step_is_shown(): ...", 0),
        ("tests/unit/chassis/test_made_up.py", "def test_what_a_service_says(): ...", 1),
        ("tests/unit/chassis/test_made_up.py", "try: ...\nexcept ValueError as refusal: ...", 1),
        ("tests/unit/chassis/test_made_up.py", "match 1:\n    case int() as answer: ...", 1),
        ("tests/unit/chassis/test_made_up.py", "import asyncio as place", 1),
    ],
)
def test_a_word_with_another_meaning_is_noticed(path: str, code: str, complaints: int) -> None:
    made = Source(Path(path))
    made.__dict__["text"] = code  # where cached_property keeps it
    assert len(list(_ambiguous(made))) == complaints


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


def test_no_text_has_a_retired_phrase() -> None:
    documents = [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *ROOT.glob("*/README.md"),
        *ROOT.glob("docs/**/*.md"),
    ]
    texts = [(path.relative_to(ROOT), [(1, path.read_text())]) for path in documents]
    texts += [(source.path, list(source.prose())) for source in sources()]
    complain(sentence for path, prose in texts for sentence in _phrases(path, prose))


PHRASES = "|".join(phrase.replace(" ", r"\s+") for phrase in RETIRED["phrases"])
PHRASE = re.compile(rf"(?<!\w)({PHRASES})(?!\w)", re.IGNORECASE)


def _phrases(path: Path, prose: Iterable[tuple[int, str]]) -> Iterator[str]:
    for first, text in prose:
        for found in PHRASE.finditer(re.sub(r"(?i)(dead(?:\s+|-))letter", r"\1xxxxxx", text)):
            phrase = " ".join(found[0].lower().split())
            if not path.as_posix().startswith(tuple(RETIRED["phrases_kept"].get(phrase, ()))):
                line = first + text[: found.start()].count("\n")
                yield f"{path}:{line}: write {RETIRED['phrases'][phrase]} for {phrase!r}"


@pytest.mark.parametrize(
    ("path", "code", "complaints"),
    [
        ("tests/made_up.py", '"""Whoever may write."""', 1),
        ("tests/made_up.py", "x = 1  # set anew", 1),
        ("tests/made_up.py", 'def f():\n    """A service is\n    told its URL."""', 1),
        ("tests/made_up.py", "# Nobody waits.", 1),
        ("tests/made_up.py", "# A dead letter, a dead-letter queue, and dead\n", 0),
        ("journey/made_up.py", '"""Dead letters. Each letter is locked."""', 1),
        ("product_svc/search.py", "# two letters", 0),
    ],
)
def test_a_retired_phrase_is_noticed(path: str, code: str, complaints: int) -> None:
    made = Source(Path(path))
    made.__dict__["text"] = code  # where cached_property keeps it
    assert len(list(_phrases(made.path, made.prose()))) == complaints
