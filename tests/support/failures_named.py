"""After an internal error pytest names neither the error in its last lines nor the tests that had failed."""

import pytest


class FailuresNamed:
    """A pytest plugin: prints both before the last line, where a shortened log still has them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._failed: list[str] = []
        self._errors: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(f"{report.nodeid}: {_last_line(report.longreprtext)}")

    def pytest_internalerror(self, excrepr: object) -> None:
        self._errors.append(_last_line(str(excrepr)))

    def pytest_sessionfinish(self) -> None:
        if not self._errors:
            return
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        terminal.section("internal error", red=True)
        for line in self._errors + [f"failed before it: {test}" for test in self._failed]:
            terminal.line(line)


def _last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2]
