"""Every process of a shop gets a port of its own, also those that do not listen yet."""

import json
from pathlib import Path

import pytest

from journey import addresses
from journey.infra import ports
from journey.infra.model import Infrastructure
from journey.place import GATEWAY, Place, record, recorded
from journey.services import DOORS, SERVICES
from journey.system import System

SOMEWHERE = Infrastructure("local", "amqp://127.0.0.1:1", "http://operator:s3cret@127.0.0.1:2", "", "", "", "")


def ports_of(place: Place) -> list[str]:
    return [*place.http.values(), *place.public.values()]


def test_all_processes_have_ports_of_their_own() -> None:
    for usual in (True, False):
        http, public = addresses.of_all(usual)
        assert set(http) == {*SERVICES, *DOORS} and set(public) == {GATEWAY}
        assert len({*http.values(), *public.values()}) == len(http) + 1


def test_a_further_one_is_none_of_those_that_are_promised_but_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "free_ports", lambda count: list(range(20_000, 20_000 + count)))
    promised: set[str] = set()
    for _ in range(20):
        promised.add(addresses.another(promised))
    assert len(promised) == 20


def test_further_instances_get_ports_and_a_second_gateway_a_door_of_its_own(tmp_path: Path) -> None:
    system = System(tmp_path, SOMEWHERE, own_ports=True)
    started: list[dict[str, str]] = []
    system.processes.start = lambda *_, env, **__: started.append(dict(env))  # type: ignore[assignment, method-assign]
    for instance in (2, 3, 4):
        system.start(GATEWAY, instance)
        system.start("order_svc", instance)
    place = system.place
    assert {"gateway.2", "gateway.3", "gateway.4", "order_svc.4"} <= set(place.http)
    assert set(place.public) == {GATEWAY, "gateway.2", "gateway.3", "gateway.4"}
    assert len(set(ports_of(place))) == len(ports_of(place))
    second = started[0]
    assert second["PUBLIC_URL"] == place.public["gateway.2"]
    assert second["HTTP_PORT"] == addresses.port_of(place.http["gateway.2"])
    assert second["SHOP_URL"] == place.shop_url == place.public[GATEWAY], "mails lead to the first one"


def test_operations_alone_is_told_the_operators_password(tmp_path: Path) -> None:
    system = System(tmp_path, SOMEWHERE, own_ports=True)
    for name in (*SERVICES, *DOORS):
        told = json.dumps(system.environment(name))
        assert ("s3cret" in told) is (name == "operations"), name


def test_a_place_that_is_written_down_is_found_again(tmp_path: Path) -> None:
    place = System(tmp_path, SOMEWHERE).place
    record(tmp_path, place)
    assert recorded(tmp_path) == place
    assert System(tmp_path, SOMEWHERE).place == place
    assert "s3cret" not in repr(place) and place.service_token not in repr(place)
