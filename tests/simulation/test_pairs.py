"""How the independent faults of pairs are recognised."""

from tests.simulation.faults import FaultPoint, Moment
from tests.simulation.pairs import as_usual


def loads(service: str, what: str, nth: int = 1) -> FaultPoint:
    return FaultPoint(service, Moment.LOAD, what, nth)


A1, A2, A3 = (loads("order_svc", f"o{number}") for number in (1, 2, 3))
B1, B2 = (loads("payment_svc", f"o{number}") for number in (1, 2))


def test_runs_are_equal_after_the_last_additional_fault_point() -> None:
    assert as_usual([A1, B1, loads("order_svc", "o1", 2), A2, B2], usual=[A1, B1, A2, B2]) == [A2, B2]


def test_runs_are_equal_after_the_last_differing_fault_point() -> None:
    assert as_usual([A2, A1, B1, A3, B2], usual=[A1, A2, A3, B1, B2]) == [B1, A3, B2]


def test_services_that_do_not_wait_are_as_usual() -> None:
    assert as_usual([B1, A1, B2, A2], usual=[A1, A2, B1, B2]) == [B1, A1, B2, A2]


def test_as_usual_begins_after_the_last_missing_fault_point() -> None:
    assert as_usual([A1, B1, A3], usual=[A1, A2, B1, A3]) == [B1, A3]
