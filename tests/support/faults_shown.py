"""Checks docs/faults.md: every test that it names must have passed in a whole session.

A skipped test proves nothing, so it fails the session. Runs of selected tests are not checked.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.source_files import ROOT

FAULTS = ROOT / "docs" / "faults.md"
NOT_YET = "Not yet"
_TEST = re.compile(r"`(tests/[\w/]+\.py::\w+(?:\[[^`]+\])?)`")
_NARROWED_BY = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "collectonly", "stepwise")


@dataclass(frozen=True)
class Fault:
    """One entry: its text, its heading, and the ids of the tests that show it."""

    section: str
    text: str
    tests: tuple[str, ...]

    @property
    def promised(self) -> bool:
        return not self.section.startswith(NOT_YET)


def faults(text: str) -> Iterator[Fault]:
    """Every list entry of the document."""
    section = ""
    for paragraph in re.split(r"\n(?=## |- )", text):
        if paragraph.startswith("## "):
            section = paragraph.partition("\n")[0].removeprefix("## ")
        elif paragraph.startswith("- "):
            entry = paragraph.partition("\n\n")[0].removeprefix("- ")
            yield Fault(section, " ".join(_TEST.sub("", entry).split()), tuple(_TEST.findall(entry)))


def named(text: str) -> list[str]:
    return sorted({test for fault in faults(text) for test in fault.tests})


def unshown(tests: list[str], outcomes: Mapping[str, Set[str]]) -> Iterator[str]:
    """One sentence for each of these tests that did not run or did not pass; with parameters,
    all must pass.
    """
    for test in tests:
        found = [emitted for id_, emitted in outcomes.items() if id_ == test or id_.startswith(f"{test}[")]
        if not found:
            yield f"{test} did not run"
        elif bad := {outcome for emitted in found for outcome in emitted} - {"passed"}:
            yield f"{test} {' and '.join(sorted(bad))}"


class EachFaultShown:
    """A pytest plugin: fails a whole session in which a test named by the document did not pass."""

    def __init__(self, config: pytest.Config, document: Path = FAULTS) -> None:
        self._config = config
        self._document = document
        self._outcomes: dict[str, set[str]] = defaultdict(set)
        self._unshown: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._outcomes[report.nodeid].add(report.outcome)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._whole(session):
            self._unshown = list(unshown(named(self._document.read_text()), self._outcomes))
        if self._unshown and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._unshown:
            terminalreporter.section(
                f"{self._document.name} names tests that did not run or did not pass", red=True
            )
            for sentence in self._unshown:
                terminalreporter.line(sentence)

    def _whole(self, session: pytest.Session) -> bool:
        """Whether all tests were selected, and the session was not interrupted."""
        narrowed = any(self._config.getoption(name, default=None) for name in _NARROWED_BY)
        everything = self._config.args_source is pytest.Config.ArgsSource.TESTPATHS
        return everything and not narrowed and not (session.shouldstop or session.shouldfail)
