"""docs/operations-evidence.md: each row says how its claim was checked, and names a test or command."""

import re
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from journey.cli.app import app
from tests.support.source_files import ROOT

PAGE = ROOT / "docs" / "operations-evidence.md"
WAYS = ("run here", "validated only", "neither")
_CODE = re.compile(r"`([^`]+)`")


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def complaints(cells: list[str]) -> Iterator[str]:
    if len(cells) != 4 or not all(cells[:3]):
        yield f"{cells}: a row has a part, a claim, how it was checked, and the test or command"
        return
    claim, way, evidence = cells[1], cells[2], _CODE.findall(cells[3])
    if way not in WAYS:
        yield f"{claim}: {way!r} is none of {', '.join(WAYS)}"
    if bool(evidence) is (way == "neither"):
        yield f"{claim}: name a test or a command, exactly if something ran or was validated"
    yield from (f"{claim}: {name} does not exist" for name in evidence if not exists(name))


def exists(name: str) -> bool:
    """Of a file or a test of the checkout, `make TARGET`, `journey COMMAND` or `python -m MODULE`.

    Settings may precede a command.
    """
    arguments = [argument for argument in name.split() if not re.fullmatch(r"[A-Z_]+=\S+", argument)]
    if arguments[0] == "make":
        return (
            re.search(rf"^{re.escape(arguments[1])}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            is not None
        )
    if arguments[0] == "journey":
        return CliRunner().invoke(app, [arguments[1], "--help"]).exit_code == 0
    if arguments[:2] == ["python", "-m"]:
        return any((ROOT / path).exists() for path in _paths(arguments[2]))
    file, _, test = arguments[0].partition("[")[0].partition("::")
    found = ROOT / file
    return found.exists() and (
        not test or re.search(rf"^(async )?def {test}\b", found.read_text(), re.M) is not None
    )


def _paths(module: str) -> tuple[str, ...]:
    path = module.replace(".", "/")
    return (f"{path}.py", f"{path}/__main__.py")


def test_every_row_names_existing_evidence() -> None:
    found = rows(PAGE.read_text())
    assert len(found) > 8
    sentences = [sentence for cells in found for sentence in complaints(cells)]
    assert not sentences, "\n".join(sentences)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("| A | it rains | run here | `tests/style/test_gone.py` |", "does not exist"),
        ("| A | it rains | run here | `tests/style/test_images.py::test_gone` |", "does not exist"),
        ("| A | it rains | run here | `make rain` |", "does not exist"),
        ("| A | it rains | run here | `journey rain` |", "does not exist"),
        ("| A | it rains | run here | |", "name a test or a command"),
        ("| A | it rains | neither | `make check` |", "name a test or a command"),
        ("| A | it rains | seen | `make check` |", "is none of"),
        ("| A | it rains | run here |", "a row has"),
    ],
)
def test_a_row_without_evidence_is_named(row: str, why: str) -> None:
    [cells] = rows(f"| part |\n|---|\n{row}\n")
    assert why in " ".join(complaints(cells))


@pytest.mark.parametrize(
    "name", ["make check", "journey doctor", "python -m tests.simulation", "SEED=1 make simulate"]
)
def test_existing_commands_are_accepted(name: str) -> None:
    assert exists(name)
