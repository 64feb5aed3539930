"""The fault switches on the start page: only where they are allowed, and each use is in the audit log."""

import re
from collections.abc import AsyncIterator

import pytest

from contracts.roles import Role
from tests.support.eventually import until
from tests.support.shops.operations import ADA, RUNNING, OperationsApp, at_work, hidden, token

PAUSE = {"service": "payment_svc", "fault": "paused", "what": "on"}
PAYMENT_HOSTS = ["10.0.0.1", "10.0.0.2"]


@pytest.fixture
async def faulty_app() -> AsyncIterator[OperationsApp]:
    """operations and services that allow faults."""
    async with at_work(allow_faults=True) as made:
        assert made.deps.faults is not None
        await made.deps.faults.refresh()
        yield made


def is_paused(app: OperationsApp, service: str = "payment_svc") -> bool:
    return "paused" in app.runtimes[service].unready()


async def test_a_service_is_paused_and_resumed_from_the_page(faulty_app: OperationsApp) -> None:
    page = await faulty_app.page("/ops")
    rows = re.findall(r'<form action="/ops/faults".*?</form>', page)
    [form] = [hidden(row) for row in rows if 'value="payment_svc"' in row]
    assert form == PAUSE
    response = await faulty_app.send("/ops/faults", 303, **form)
    assert response.headers["location"] == "/ops#faults" and is_paused(faulty_app)
    page = await faulty_app.page("/ops")
    assert "A fault is turned on:</strong> paused of payment_svc, until" in page and "on until" in page
    assert not is_paused(faulty_app, "order_svc")
    await faulty_app.send("/ops/faults", 303, **(PAUSE | {"what": "off"}))
    assert not is_paused(faulty_app)
    assert "A fault is turned on" not in await faulty_app.page("/ops")


async def test_a_fault_is_switched_in_all_processes(faulty_app: OperationsApp) -> None:
    """They share one DNS name, as containers do."""
    for host in PAYMENT_HOSTS:
        await faulty_app.start_process("payment_svc", host)
    faulty_app.services.ips["payment_svc"] = PAYMENT_HOSTS
    assert faulty_app.deps.faults is not None
    await faulty_app.send("/ops/faults", 303, **PAUSE)
    assert [is_paused(faulty_app, host) for host in PAYMENT_HOSTS] == [True, True]
    await faulty_app.send("/ops/faults", 303, **(PAUSE | {"what": "off"}))
    assert [is_paused(faulty_app, host) for host in PAYMENT_HOSTS] == [False, False]


async def test_a_fault_of_one_process_is_shown_and_ended(faulty_app: OperationsApp) -> None:
    for host in PAYMENT_HOSTS:
        await faulty_app.start_process("payment_svc", host)
    faulty_app.services.ips["payment_svc"] = PAYMENT_HOSTS
    faulty_app.services.away.add(PAYMENT_HOSTS[0])
    response = await faulty_app.send("/ops/faults", 503, **PAUSE)
    assert "payment_svc does not respond" in response.text
    assert is_paused(faulty_app, PAYMENT_HOSTS[1]), "the other process does not depend on the first"
    faulty_app.services.away.clear()
    assert faulty_app.deps.faults is not None
    await faulty_app.deps.faults.refresh()
    assert "A fault is turned on:</strong> paused of payment_svc" in await faulty_app.page("/ops")


async def test_each_switch_is_in_the_audit_list(faulty_app: OperationsApp) -> None:
    await faulty_app.send("/ops/faults", 303, **PAUSE)
    [entry] = faulty_app.broker.entries
    assert (entry.by, entry.action, entry.type, entry.service) == (str(ADA), "fault", "paused", "payment_svc")
    assert entry.reason == "on for 10 min"
    audit = await faulty_app.page("/ops/audit")
    assert "on for 10 min" in audit and "payment_svc" in audit


async def test_without_an_audit_entry_nothing_is_switched(faulty_app: OperationsApp) -> None:
    faulty_app.broker.away = True
    response = await faulty_app.send("/ops/faults", 503, **PAUSE)
    assert "audit log cannot be written" in response.text and not is_paused(faulty_app)


async def test_unresponsive_services_have_unknown_faults(faulty_app: OperationsApp) -> None:
    faulty_app.services.away.add("order_svc")
    assert faulty_app.deps.faults is not None
    await faulty_app.deps.faults.refresh()
    states = faulty_app.deps.faults.states
    assert states.unknown == ("order_svc",)
    assert {fault.service for fault in states.faults} == set(RUNNING) - {"order_svc"}
    assert "it does not respond: order_svc" in await faulty_app.page("/ops")
    faulty_app.services.away.add("payment_svc")
    response = await faulty_app.send("/ops/faults", 503, **PAUSE)
    assert "payment_svc does not respond" in response.text


@pytest.mark.parametrize("change", [{"fault": "no-such"}, {"service": "../ops"}, {"what": "toggle"}])
async def test_unknown_switches_are_refused(faulty_app: OperationsApp, change: dict[str, str]) -> None:
    await faulty_app.send("/ops/faults", 422, **(PAUSE | change))
    assert not faulty_app.broker.entries


async def test_only_staff_can_switch(faulty_app: OperationsApp) -> None:
    for headers in ({}, {"Authorization": f"Bearer {token(Role.CUSTOMER)}"}):
        async with faulty_app.client(**headers) as stranger:
            assert (await stranger.post("/ops/faults", data=PAUSE)).status_code == 404
    assert not is_paused(faulty_app)


async def test_the_open_page_is_updated_when_a_fault_ends(faulty_app: OperationsApp) -> None:
    switches = faulty_app.runtimes["payment_svc"].faults
    assert switches is not None and faulty_app.deps.faults is not None
    await switches.turn_on("paused", for_s=0.1)
    await faulty_app.deps.faults.refresh()
    assert "on until" in await faulty_app.page("/ops")
    await until(lambda: not is_paused(faulty_app))
    await until(lambda: faulty_app.deps.faults is not None and not faulty_app.deps.faults.states.active)


async def test_where_faults_are_not_allowed_there_is_no_switch(operations_app: OperationsApp) -> None:
    assert operations_app.deps.faults is None
    page = await operations_app.page("/ops")
    assert "Fault switches" not in page and "/ops/faults" not in page
    response = await operations_app.http.post("/ops/faults", data=PAUSE)
    assert response.status_code in (404, 405) and not operations_app.broker.entries
    assert operations_app.runtimes["payment_svc"].unready() == ""
