"""Ports: what one lane of the tests may choose, no other lane chooses."""

from types import SimpleNamespace
from typing import Any

import pytest

from journey.infra import ports
from tests.lanes import Lanes


def test_no_two_lanes_choose_from_the_same_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    lowest, highest = 20_000, 32_000
    parts = []
    for lane in range(3):
        monkeypatch.setattr(ports, "LOWEST", lowest)
        monkeypatch.setattr(ports, "HIGHEST", highest)
        config: Any = SimpleNamespace(workerinput={"workerid": f"gw{lane}", "workercount": 3})
        Lanes(config)
        parts.append(set(range(ports.LOWEST, ports.HIGHEST)))
        assert set(ports.free_ports(20)) < parts[-1]
    assert set.union(*parts) == set(range(lowest, highest))
    assert sum(map(len, parts)) == highest - lowest
