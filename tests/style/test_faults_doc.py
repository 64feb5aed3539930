"""docs/faults.md names only tests that show its claims, and a session without one of them fails."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.faults_shown import FAULTS, faults, named, unshown
from tests.support.source_files import ROOT

KNOWN = list(faults(FAULTS.read_text()))
PLUGIN = """
from pathlib import Path
from tests.support.faults_shown import EachFaultShown

def pytest_configure(config):
    config.pluginmanager.register(EachFaultShown(config, Path("faults.md")))
"""
TESTS = """
import pytest

def test_dull(): ...

@pytest.mark.parametrize("number", [1, 2])
def test_bold(number):
    if number == 2: pytest.skip("not today")
"""


@pytest.mark.parametrize("test", named(FAULTS.read_text()))
def test_every_test_that_is_named_exists(test: str) -> None:
    path, _, function = test.partition("[")[0].partition("::")
    assert (ROOT / path).is_file(), (
        f"docs/faults.md names {path}, which does not exist; name the test that shows it now"
    )
    functions = [node.name for node in ast.parse((ROOT / path).read_text()).body if hasattr(node, "name")]
    assert function in functions, (
        f"docs/faults.md names {function}, which is not in {path}; name the test that shows it now"
    )


def test_every_fault_names_a_test_or_is_marked_missing() -> None:
    assert len(KNOWN) > 40
    assert not [fault.text for fault in KNOWN if fault.promised and not fault.tests]
    assert not [fault.text for fault in KNOWN if not fault.promised and fault.tests]
    assert any(not fault.promised for fault in KNOWN)


def test_skipped_failed_and_missing_tests_are_reported() -> None:
    outcomes = {
        "a::b[1]": {"passed"},
        "a::b[2]": {"passed", "skipped"},
        "a::bc": {"passed"},
        "a::d": {"failed"},
    }
    assert list(unshown(["a::b", "a::bc", "a::d", "a::e"], outcomes)) == [
        "a::b skipped",
        "a::d failed",
        "a::e did not run",
    ]
    assert not list(unshown(["a::b[1]"], outcomes))


@pytest.mark.parametrize(
    ("text", "arguments", "code", "expected"),
    [
        ("- It rains. `tests/test_made.py::test_dull`", [], 0, ""),
        ("- It rains. `tests/test_made.py::test_bold`", [], 1, "test_bold skipped"),
        ("- It rains. `tests/test_made.py::test_bold[1]`", [], 0, ""),
        ("- It rains. `tests/test_made.py::test_gone`", [], 1, "test_gone did not run"),
        ("- It rains. `tests/test_made.py::test_gone`", ["tests/test_made.py"], 0, ""),
        ("- It rains. `tests/test_made.py::test_gone`", ["-k", "dull"], 0, ""),
    ],
    ids=["shown", "skipped", "the other one skipped", "gone", "some files only", "some tests only"],
)
def test_a_complete_session_fails_without_a_named_test(
    tmp_path: Path, text: str, arguments: list[str], code: int, expected: str
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_made.py").write_text(TESTS)
    (tmp_path / "made_plugin.py").write_text(PLUGIN)
    (tmp_path / "faults.md").write_text(f"## Weather\n\n{text}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--import-mode=importlib",
        "-p",
        "made_plugin",
        *arguments,
    ]
    ended = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert expected in ended.stdout
    assert ("did not run or did not pass" in ended.stdout) is bool(code)
