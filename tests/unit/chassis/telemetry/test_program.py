"""The version that logs and traces name: the image's, else the checkout's."""

import tomllib

import pytest

from chassis.telemetry.program import program_version
from tests.support.source_files import ROOT


def test_an_images_version_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    monkeypatch.delenv("SERVICE_VERSION", raising=False)
    assert program_version() == project["version"]
    monkeypatch.setenv("SERVICE_VERSION", "7.8.9")
    assert program_version() == "7.8.9"
