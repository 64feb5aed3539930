"""The tests' own plugin for parallel workers: any test may fail, with any text, and the session goes on."""

import subprocess
import sys
from pathlib import Path

from tests.support.source_files import ROOT

PLUGIN = """
from tests.support.xdist_workers import XdistWorkers

def pytest_configure(config):
    config.pluginmanager.register(XdistWorkers(config))
"""
TESTS = r"""
def test_strange():
    print("printed: \udce9")
    assert "\udc80" == "expected", "message: \udcff"

def test_next(): ...
"""


def test_a_failure_with_undecodable_text_ends_only_its_own_test(tmp_path: Path) -> None:
    (tmp_path / "test_made.py").write_text(TESTS)
    (tmp_path / "made_plugin.py").write_text(PLUGIN)
    command = [sys.executable, "-m", "pytest", "-n", "1", "--import-mode=importlib", "-p", "made_plugin"]
    ended = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert "1 failed, 1 passed" in ended.stdout, ended.stdout + ended.stderr
    for escaped in (r"\udce9", r"\udc80", r"\udcff"):
        assert escaped in ended.stdout
