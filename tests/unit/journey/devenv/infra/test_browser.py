"""Which browser is chosen, and the error if there is none."""

import asyncio
from pathlib import Path

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra import browser
from journey.devenv.infra.lock import installing


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_named_browser_comes_before_the_usual_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = program(tmp_path / "chromium-browser")
    assert browser.find_chromium() == usual
    named = program(tmp_path / "my-own")
    monkeypatch.setenv("CHROMIUM", str(named))
    assert browser.find_chromium() == named


def test_a_missing_configured_browser_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "chromium")
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "mistyped"))
    with pytest.raises(InfrastructureUnavailable, match=r"CHROMIUM is not a program: .*mistyped"):
        browser.chromium(print)


def test_without_an_installer_the_remedy_is_printed() -> None:
    with pytest.raises(InfrastructureUnavailable, match="no apt-get here") as caught:
        browser.chromium(print)
    assert caught.value.remedy == browser.REMEDY


def test_what_is_missing_is_installed_and_then_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def install(*packages: str, **_reported: object) -> None:
        program(tmp_path / packages[0])

    monkeypatch.setattr(browser, "apt_install", install)
    assert browser.chromium(print) == tmp_path / "chromium-headless-shell"


async def test_a_concurrent_installation_is_awaited_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def install(*packages: str, **_reported: object) -> None:
        pytest.fail("it was there already")

    monkeypatch.setattr(browser, "apt_install", install)
    async with installing():
        waiting = asyncio.create_task(asyncio.to_thread(browser.chromium, print))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        program(tmp_path / "chromium")
    assert await waiting == tmp_path / "chromium"
