"""Where Prometheus and Alertmanager come from, and the error if there are none."""

from pathlib import Path

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra import monitoring

DEBIAN = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def programs(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)


def test_alertmanager_is_found_under_both_names(tmp_path: Path) -> None:
    programs(tmp_path, *DEBIAN)
    found = monitoring.monitoring_programs(print)
    assert found.alertmanager == tmp_path / "prometheus-alertmanager"
    programs(tmp_path, "alertmanager")
    assert monitoring.monitoring_programs(print).alertmanager == tmp_path / "alertmanager"


def test_without_an_installer_the_remedy_is_printed(tmp_path: Path) -> None:
    programs(tmp_path, *DEBIAN[:-1])
    with pytest.raises(InfrastructureUnavailable, match="no apt-get here") as caught:
        monitoring.monitoring_programs(print)
    assert caught.value.remedy == monitoring.REMEDY


def test_missing_programs_are_installed_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def install(*packages: str, **_reported: object) -> None:
        assert packages == monitoring.PACKAGES
        programs(tmp_path, *DEBIAN)

    monkeypatch.setattr(monitoring, "apt_install", install)
    assert monitoring.monitoring_programs(print).amtool == tmp_path / "amtool"


def test_an_incomplete_package_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def install(*packages: str, **_reported: object) -> None:
        programs(tmp_path, "prometheus")

    monkeypatch.setattr(monitoring, "apt_install", install)
    with pytest.raises(InfrastructureUnavailable, match="not in PATH"):
        monitoring.monitoring_programs(print)
