"""Runs tests in parallel workers (`pytest -n 4`), each with its own broker and database.

A worker runs one file at a time. Reasons and results: docs/decisions/0016.
"""

import os
from collections.abc import Generator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from journey.devenv.infra import ports

# All browser tests share one shop and one browser; the simulation uses all idle cores by itself.
TOGETHER = ("tests/simulation/", "tests/browser/")
# The longest files come first, so that no worker runs long after the others have finished.
FIRST = (
    *TOGETHER,
    "tests/chaos/test_chaos.py",
    "tests/system/test_kills.py",
    "tests/system/test_backfill.py",
    "tests/system/test_demo.py",
    "tests/style/test_new_service.py",
    "tests/integration/admin/test_redrive.py",
    "tests/system/",
    "tests/conformance/",
    "tests/integration/",
    "tests/chaos/",
)


def is_a_lane(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


class XdistWorkers:
    """A pytest plugin; without `-n` it does nothing."""

    def __init__(self, config: pytest.Config) -> None:
        self._is_a_lane = is_a_lane(config)
        if self._is_a_lane:
            _keep_to_own_ports(config)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._is_a_lane:
            items.sort(key=_rank)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, Any, Any]:
        """A report with a lone surrogate, as fuzz tests print them, would end the worker, and with it the
        session: execnet sends UTF-8 only.
        """
        return _encodable((yield))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> "_ByFile":
        config.option.loadscopereorder = False  # the number of tests does not show how long they take
        return _ByFile(config, log)


def _keep_to_own_ports(config: Any) -> None:
    """So that a stopped service finds its port still free, whatever other workers and their commands start.

    The environment carries the range, because tests also start commands that choose ports.
    """
    lane, lanes = int(config.workerinput["workerid"].removeprefix("gw")), config.workerinput["workercount"]
    share = (ports.HIGHEST - ports.LOWEST) // lanes
    lowest = ports.LOWEST + lane * share
    os.environ[ports.RANGE] = f"{lowest}-{lowest + share}"


def _encodable(value: Any) -> Any:
    """The same report, with lone surrogates as escapes."""
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(_encodable(item) for item in value)
    return value


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


def _rank(item: pytest.Item) -> int:
    return next((rank for rank, prefix in enumerate(FIRST) if item.nodeid.startswith(prefix)), len(FIRST))
