"""Names, numbers and addresses of several instances of a service, as processes and as containers."""

import json
import os
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pytest

from journey.admin.endpoints import record, recorded
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.instances import counts, of_services, responding
from journey.admin.registry import SERVICES
from journey.cli import scale as cli_scale
from journey.cli.console import UsageError
from journey.devenv import compose_shop
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ProcessShop

SOMEWHERE = Infrastructure(
    "local", "amqp://127.0.0.1:1", "http://operator:s3cret@127.0.0.1:2", "", "", "", ""
)
THREE = {
    "order_svc": "http://one",
    "order_svc.2": "http://two",
    "order_svc.10": "http://ten",
    "user_svc": "http://users",
}


def test_instances_are_listed_in_order_and_counted() -> None:
    processes = ["order_svc.10", "gateway.2", "user_svc", "order_svc.2", "operations", "order_svc", "mailbox"]
    assert of_services(processes) == ["order_svc", "order_svc.2", "order_svc.10", "user_svc"]
    assert counts(processes) == {"order_svc": 3, "user_svc": 1, "gateway": 1}


@pytest.mark.parametrize(
    ("ready", "asked"),
    [
        ({"one", "two", "ten"}, "http://one"),
        ({"ten"}, "http://ten"),
        ({"two"}, "http://two"),
        (set[str](), "http://one"),
    ],
)
async def test_a_working_instance_gets_the_request(ready: set[str], asked: str) -> None:
    def response(request: httpx.Request) -> httpx.Response:
        if request.url.host not in ready:
            raise httpx.ConnectError("refused")
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(response)) as http:
        assert await responding(http, THREE) == {"order_svc": asked, "user_svc": "http://users"}


async def test_a_single_instance_is_used_without_probing() -> None:
    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    single = {"order_svc": "http://one", "gateway": "http://door"}
    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as http:
        assert await responding(http, single) == single


@pytest.mark.parametrize(
    "arguments",
    ["order=3", "order_svc", "order_svc=0", "order_svc=-1", "order_svc=21", "operations=2", "gateway=0"],
)
def test_an_impossible_scale_is_refused_with_the_remedy(arguments: str) -> None:
    with pytest.raises(UsageError, match=r"choose from order_svc|from 1 to 20"):
        cli_scale._count(arguments)


def test_instances_that_are_written_down_are_started_again(tmp_path: Path) -> None:
    first = ProcessShop(tmp_path, SOMEWHERE)
    first.endpoints.http["order_svc.2"] = "http://127.0.0.1:7"
    record(tmp_path, first.endpoints)
    assert counts(ProcessShop(tmp_path, SOMEWHERE).endpoints.http)["order_svc"] == 2
    known = recorded(tmp_path)
    assert known is not None and known.http["order_svc.2"] == "http://127.0.0.1:7"


def _container(name: str, service: str, *ports: tuple[int, int]) -> dict[str, object]:
    publishers = [{"URL": "127.0.0.1", "TargetPort": target, "PublishedPort": port} for target, port in ports]
    return {"Name": f"order-journey-{name}", "Service": service, "State": "running", "Publishers": publishers}


@pytest.mark.parametrize("in_one_list", [True, False])
def test_containers_are_found_by_the_ports_that_they_have_now(in_one_list: bool) -> None:
    containers = [
        _container("order_svc-10", "order_svc", (8080, 49010)),
        _container("order_svc-2", "order_svc", (8080, 49002)),
        _container("user_svc-1", "user_svc", (8080, 49003)),
        _container("payment_svc-1", "payment_svc", (8080, 0)),
        _container("rabbitmq-1", "rabbitmq", (5672, 25673)),
        _container("gateway-1", "gateway", (8000, 8080)),
    ]
    listing = json.dumps(containers) if in_one_list else "\n".join(map(json.dumps, containers))
    assert compose_shop.addresses(listing) == dict.fromkeys(SERVICES, compose_shop.NOT_RUNNING) | {
        "order_svc": "http://127.0.0.1:49002",
        "order_svc.2": "http://127.0.0.1:49010",
        "user_svc": "http://127.0.0.1:49003",
    }


async def test_compose_gets_the_scale_of_started_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --scale it goes back to one instance,
    and it rejects --scale for services that it does not start.
    """
    record(
        tmp_path, replace(ProcessShop(tmp_path, SOMEWHERE).endpoints, kind="compose", scale={"order_svc": 3})
    )
    asked: list[tuple[str, ...]] = []

    async def run(*arguments: str, **_options: object) -> CompletedProcess[str]:
        asked.append(arguments)
        return CompletedProcess((), 0, "", "")

    monkeypatch.setattr(compose_shop, "_run", run)
    shop = compose_shop.ComposeShop(tmp_path)
    await shop.scale({"user_svc": 2})
    await shop.ready(["order_svc", "payment_svc"])
    await shop.set("payment_svc")
    await shop.up(lambda text: None)
    scaled = [
        [argument for argument in arguments if "=" in argument] for arguments in asked if arguments[2] == "up"
    ]
    assert scaled == [["user_svc=2"], ["order_svc=3"], [], ["order_svc=3", "user_svc=2"]]
    known = recorded(tmp_path)
    assert known is not None and known.scale == {"order_svc": 3, "user_svc": 2}


async def test_compose_scales_no_gateway(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureUnavailable, match="one port"):
        await compose_shop.ComposeShop(tmp_path).scale({"gateway": 2})


async def test_compose_gets_the_ports_for_tools_and_the_callers_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, replace(ProcessShop(tmp_path, SOMEWHERE).endpoints, kind="compose"))
    environments: list[dict[str, str]] = []

    async def run(*_arguments: str, environment: dict[str, str], **_options: object) -> CompletedProcess[str]:
        environments.append(environment)
        return CompletedProcess((), 0, "", "")

    monkeypatch.setattr(compose_shop, "_run", run)
    monkeypatch.setenv("COMPOSE_FILE", "mine.yaml")
    await compose_shop.ComposeShop(tmp_path).down(lambda text: None)
    [environment] = environments
    files = [Path(file).name for file in environment["COMPOSE_FILE"].split(os.pathsep)]
    assert files == ["compose.yaml", "compose.tools.yaml", "mine.yaml"]
    assert environment["COMPOSE_PROFILES"] == "*", "else members of a profile would keep running"
