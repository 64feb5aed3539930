"""Ports: neither a test worker nor a command that it starts chooses a port in another worker's range."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra import ports
from tests.support.xdist_workers import XdistWorkers


def test_no_two_lanes_choose_from_the_same_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ports.RANGE, raising=False)
    everything = set(ports.port_range())
    parts = []
    for lane in range(3):
        monkeypatch.delenv(ports.RANGE, raising=False)
        config: Any = SimpleNamespace(workerinput={"workerid": f"gw{lane}", "workercount": 3})
        XdistWorkers(config)
        parts.append(set(ports.port_range()))
        assert set(ports.free_ports(20)) < parts[-1]
    assert set.union(*parts) == everything
    assert sum(map(len, parts)) == len(everything)


def test_commands_inherit_the_port_range_of_their_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ports.RANGE, "31000-31100")
    chosen = subprocess.run(
        [sys.executable, "-c", "from journey.devenv.infra.ports import free_ports; print(*free_ports(20))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {int(port) for port in chosen} < set(range(31_000, 31_100))


@pytest.mark.parametrize("configured", ["20000", "20000-", "a-b", "32000-20000", "20000-70000", "-5-10"])
def test_a_range_that_is_none_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, configured: str
) -> None:
    monkeypatch.setenv(ports.RANGE, configured)
    with pytest.raises(InfrastructureUnavailable, match="JOURNEY_PORTS") as refused:
        ports.free_ports(1)
    assert "20000-32000" in str(refused.value)


def test_a_range_without_enough_free_ports_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ports.RANGE, "31000-31002")
    with pytest.raises(InfrastructureUnavailable, match="between 31000 and 31002"):
        ports.free_ports(3)
