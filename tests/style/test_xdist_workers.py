"""The tests' own plugins for a session in parallel workers: whatever fails, the log names it."""

import subprocess
import sys
from pathlib import Path

from tests.support.source_files import ROOT

PLUGIN = """
from tests.support.failures_named import FailuresNamed
from tests.support.xdist_workers import XdistWorkers, is_a_lane

def pytest_configure(config):
    config.pluginmanager.register(XdistWorkers(config))
    if not is_a_lane(config):
        config.pluginmanager.register(FailuresNamed(config))
"""
TESTS = r"""
def test_strange():
    print("printed: \udce9")
    assert "\udc80" == "expected", "message: \udcff"

def test_next(): ...
"""


HOOKS = """
def pytest_runtest_logfinish(nodeid):
    if "next" in nodeid: raise RuntimeError("out of order")
"""
CRASH = """
import os

def test_ends_its_process(): os._exit(1)

def test_next(): ...
"""


def test_a_failure_with_undecodable_text_ends_only_its_own_test(tmp_path: Path) -> None:
    ended = session(tmp_path, TESTS)
    assert "1 failed, 1 passed" in ended.stdout, ended.stdout + ended.stderr
    for escaped in (r"\udce9", r"\udc80", r"\udcff"):
        assert escaped in ended.stdout


def test_an_internal_error_is_printed_after_the_failed_tests(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(HOOKS)
    last_lines = session(tmp_path, TESTS).stdout.splitlines()[-4:]
    assert "RuntimeError: out of order" in last_lines[0] + last_lines[1], last_lines
    assert "failed before it: test_made.py::test_strange: " in "".join(last_lines)


def test_a_test_that_ends_its_worker_is_named(tmp_path: Path) -> None:
    ended = session(tmp_path, CRASH)
    assert "crashed while running 'test_made.py::test_ends_its_process'" in ended.stdout
    assert "INTERNALERROR" not in ended.stdout


def session(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_made.py").write_text(tests)
    (folder / "made_plugin.py").write_text(PLUGIN)
    options = ["-n", "1", "--max-worker-restart", "0", "--import-mode=importlib", "-p", "made_plugin"]
    command = [sys.executable, "-m", "pytest", *options]
    return subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
