"""The chart of a growth measurement: it shows the figures of every round, on axes with short numbers."""

import re

import pytest

from bench.growth import BROKER, CLIENT, DATABASE, Growth, GrowthRound
from bench.growth_chart import draw


def measured(number: int, instances: int, seconds: float, cpu_s: float) -> GrowthRound:
    return GrowthRound(
        number=number,
        instances=instances,
        orders=1000,
        seconds=seconds,
        p50_ms=100.0,
        cpu_s={"order_svc": cpu_s, BROKER: 1.0, DATABASE: 2.0, CLIENT: 0.5},
        handled={"order_svc": 3000},
        conflicts={"order_svc": 0},
        machine_cpu_s=cpu_s + 4,
    )


@pytest.mark.parametrize(
    ("speedup", "cpu_s", "ticks"),
    [
        (0.5, 3.2, ["0", "0.3", "0.6", "0.9", "1.2", "0", "2", "4", "6", "8"]),
        (1.9, 8.0, ["0", "0.5", "1", "1.5", "2", "0", "4", "8", "12", "16"]),
        (3.7, 90.0, ["0", "1", "2", "3", "4", "0", "30", "60", "90", "120"]),
    ],
)
def test_ticks_are_short_numbers_above_the_highest_value(
    speedup: float, cpu_s: float, ticks: list[str]
) -> None:
    growth = Growth(2, 100, [measured(0, 1, 10.0, cpu_s), measured(0, 2, 10.0 / speedup, cpu_s)])
    assert re.findall(r'text-anchor="end">([^<]+)<', draw(growth)) == ticks


def test_rounds_are_dots_and_components_are_bars() -> None:
    growth = Growth(2, 100, [measured(round_, count, 10.0, 3.0) for round_ in range(3) for count in (1, 2)])
    chart = draw(growth)
    assert chart.count("<circle") == 6
    for title in ("order_svc: 3.00 ms", f"{BROKER}: 1.00 ms", f"{DATABASE}: 2.00 ms", f"{CLIENT}: 0.50 ms"):
        assert chart.count(f"<title>{title}</title>") == 2
