"""Which Node is chosen for the example client, and the error if there is none."""

from pathlib import Path

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra import node


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def program(path: Path, script: str = "") -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_an_installed_node_is_used(tmp_path: Path) -> None:
    for name in ("npm", "node"):
        program(tmp_path / name)
    assert node.node(print) == tmp_path / "node"


@pytest.mark.parametrize(
    ("there", "wanted"), [((), ("nodejs", "npm")), (("node",), ("npm",)), (("npm",), ("nodejs",))]
)
def test_only_what_is_missing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    installed: list[str] = []

    async def install(*packages: str, **_options: object) -> None:
        installed.extend(packages)
        for package in packages:
            program(tmp_path / package.removesuffix("js"))

    for name in there:
        program(tmp_path / name)
    monkeypatch.setattr(node, "apt_install", install)
    assert node.node(print) == tmp_path / "node"
    assert tuple(installed) == wanted


def test_where_nothing_can_be_installed_the_error_names_the_remedy() -> None:
    with pytest.raises(InfrastructureUnavailable, match="no apt-get here") as caught:
        node.node(print)
    assert caught.value.remedy == node.REMEDY


async def test_an_unresponsive_registry_is_named(tmp_path: Path) -> None:
    program(tmp_path / "npm", "echo ENOTFOUND; exit 1")
    with pytest.raises(InfrastructureUnavailable, match="ENOTFOUND"):
        await node.install_packages(tmp_path)
