"""How the independent faults of pairs are recognised."""

from tests.simulation.faults import Moment, Place
from tests.simulation.pairs import as_usual


def loads(service: str, what: str, nth: int = 1) -> Place:
    return Place(service, Moment.LOAD, what, nth)


A1, A2, A3 = (loads("order_svc", f"o{number}") for number in (1, 2, 3))
B1, B2 = (loads("payment_svc", f"o{number}") for number in (1, 2))


def test_all_is_as_usual_after_the_last_place_where_some_service_does_more() -> None:
    assert as_usual([A1, B1, loads("order_svc", "o1", 2), A2, B2], usual=[A1, B1, A2, B2]) == [A2, B2]


def test_all_is_as_usual_after_the_last_place_where_some_service_goes_another_way() -> None:
    assert as_usual([A2, A1, B1, A3, B2], usual=[A1, A2, A3, B1, B2]) == [B1, A3, B2]


def test_that_services_do_not_wait_for_each_other_is_as_usual() -> None:
    assert as_usual([B1, A1, B2, A2], usual=[A1, A2, B1, B2]) == [B1, A1, B2, A2]


def test_nothing_is_as_usual_before_a_place_that_never_comes() -> None:
    assert as_usual([A1, B1, A3], usual=[A1, A2, B1, A3]) == [B1, A3]
