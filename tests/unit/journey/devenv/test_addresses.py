"""Every process of a shop gets its own port, even if it does not listen yet."""

import json
from pathlib import Path

import pytest

from journey.admin.endpoints import GATEWAY, ShopEndpoints, record, recorded
from journey.admin.registry import SERVICES, WEB_PROGRAMS
from journey.devenv import addresses
from journey.devenv.infra import ports
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ProcessShop

SOMEWHERE = Infrastructure(
    "local", "amqp://127.0.0.1:1", "http://operator:s3cret@127.0.0.1:2", "", "", "", ""
)


def ports_of(endpoints: ShopEndpoints) -> list[str]:
    return [*endpoints.http.values(), *endpoints.public.values()]


def test_all_processes_have_ports_of_their_own() -> None:
    for usual in (True, False):
        http, public = addresses.of_all(usual)
        assert set(http) == {*SERVICES, *WEB_PROGRAMS} and set(public) == {GATEWAY}
        assert len({*http.values(), *public.values()}) == len(http) + 1


def test_a_further_port_is_none_of_the_assigned_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "free_ports", lambda count: list(range(20_000, 20_000 + count)))
    promised: set[str] = set()
    for _ in range(20):
        promised.add(addresses.another(promised))
    assert len(promised) == 20


def test_further_instances_get_their_own_ports(tmp_path: Path) -> None:
    system = ProcessShop(tmp_path, SOMEWHERE, own_ports=True)
    started: list[dict[str, str]] = []
    system.processes.start = lambda *_, env, **__: started.append(dict(env))  # type: ignore[assignment, method-assign]
    for instance in (2, 3, 4):
        system.start(GATEWAY, instance)
        system.start("order_svc", instance)
    endpoints = system.endpoints
    assert {"gateway.2", "gateway.3", "gateway.4", "order_svc.4"} <= set(endpoints.http)
    assert set(endpoints.public) == {GATEWAY, "gateway.2", "gateway.3", "gateway.4"}
    assert len(set(ports_of(endpoints))) == len(ports_of(endpoints))
    second = started[0]
    assert second["PUBLIC_URL"] == endpoints.public["gateway.2"]
    assert second["HTTP_PORT"] == addresses.port_of(endpoints.http["gateway.2"])
    assert second["SHOP_URL"] == endpoints.shop_url == endpoints.public[GATEWAY], (
        "mails lead to the first one"
    )


def test_only_operations_gets_the_operators_password(tmp_path: Path) -> None:
    system = ProcessShop(tmp_path, SOMEWHERE, own_ports=True)
    for name in (*SERVICES, *WEB_PROGRAMS):
        environment = system.environment(name)
        assert "s3cret" not in json.dumps(environment), name
        password = Path(environment["AMQP_PASSWORD_FILE"]).read_text()
        assert (password == "s3cret") is (name == "operations"), name


def test_recorded_endpoints_are_read_again(tmp_path: Path) -> None:
    endpoints = ProcessShop(tmp_path, SOMEWHERE).endpoints
    record(tmp_path, endpoints)
    assert recorded(tmp_path) == endpoints
    assert ProcessShop(tmp_path, SOMEWHERE).endpoints == endpoints
    assert "s3cret" not in repr(endpoints) and endpoints.service_token not in repr(endpoints)
