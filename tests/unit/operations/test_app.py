"""Access to the pages, and that every page opens during any outage."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from chassis.messaging.identity import new_id
from chassis.settings import BadSettings, load_settings
from contracts.roles import Role
from journey.admin.registry import CONSUMING_SERVICES
from operations import __main__ as process
from operations.settings import OperationsSettings
from operations.web.templating import with_code
from tests.support.messages import PLACED
from tests.support.shops.operations import OperationsApp, token

PAGES = [
    "/ops",
    "/ops/dead-letters",
    "/ops/stuck",
    "/ops/orders",
    "/ops/stock",
    "/ops/catalogue",
    "/ops/catalogue/new",
    "/ops/people",
    "/ops/audit",
]


@pytest.mark.parametrize(
    "path", [*PAGES, "/ops/events", "/ops/orders/7F3K", "/ops/no-such-page", "/ops/redrives/1"]
)
async def test_only_staff_can_open_the_pages(operations_app: OperationsApp, path: str) -> None:
    for headers in (
        {},
        {"Authorization": f"Bearer {token(Role.CUSTOMER)}"},
        {"Authorization": f"Bearer {token(Role.STAFF, left=timedelta(minutes=-5))}"},
        {"Authorization": "Bearer nonsense"},
        {"Cookie": f"__Host-sid={token(Role.STAFF)}"},
    ):
        async with operations_app.client(**headers) as stranger:
            responses = [await stranger.get(path), await stranger.post(path)]
        assert {response.status_code for response in responses} == {404}, (headers, responses)
        assert "Operations" not in responses[0].text, "not even an error page"


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_opens(operations_app: OperationsApp, path: str) -> None:
    await operations_app.stocked()
    await operations_app.ordered()
    operations_app.dies(PLACED)
    page = await operations_app.page(path)
    assert "<h1>" in page or "<h1 " in page
    assert "style=" not in page and "onclick" not in page and "<script>" not in page


@pytest.mark.parametrize("path", PAGES)
async def test_with_everything_unavailable_every_page_opens(operations_app: OperationsApp, path: str) -> None:
    await operations_app.page("/ops")  # the signing keys are cached from here on
    operations_app.services.away = set(operations_app.deps.settings.addresses)
    operations_app.broker.counts_away = operations_app.broker.away = True
    await operations_app.deps.poller.refresh()
    status = 503 if path == "/ops/audit" else 200
    page = await operations_app.page(path, status)
    if path not in ("/ops/catalogue/new", "/ops/people"):
        assert "does not respond" in page or "unknown since" in page


async def test_an_unknown_path_is_a_staff_page(operations_app: OperationsApp) -> None:
    assert "does not exist" in await operations_app.page("/ops/nothing/here", 404)
    for path in (
        f"/ops/redrives/{new_id()}",
        "/ops/dead-letters/none",
        f"/ops/orders/{new_id()}",
        "/ops/orders/7F3K",
    ):
        assert "<h1>Not Found</h1>" in await operations_app.page(path, 404)


async def test_operations_stays_ready_while_everything_else_is_down(operations_app: OperationsApp) -> None:
    operations_app.services.away = set(operations_app.deps.settings.addresses)
    operations_app.broker.counts_away = True
    async with operations_app.client() as anybody:
        for path in "/healthz", "/readyz", "/metrics":
            assert (await anybody.get(path)).status_code == 200
        operations_app.deps.stopping.set()
        assert (await anybody.get("/readyz")).status_code == 503


def test_wrong_settings_are_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://operator:x@rabbit/journey")
    monkeypatch.setenv("RABBITMQ_MANAGEMENT_URL", "rabbit:15672")
    with pytest.raises(BadSettings) as refused:
        process.main()
    assert "RABBITMQ_MANAGEMENT_URL: Value error, must begin with http" in str(refused.value)
    assert "ORDER_SVC_URL: Value error, it is missing" in str(refused.value)


def test_one_setting_can_give_the_addresses_of_all_services() -> None:
    settings = OperationsSettings(
        amqp_url="amqp://operator:x@rabbit/journey",
        rabbitmq_management_url="http://rabbit:15672",
        service_url="http://{}:8080/",
        order_svc_url="http://elsewhere:1",
    )
    assert settings.addresses == {name: f"http://{name}:8080" for name in CONSUMING_SERVICES} | {
        "order_svc": "http://elsewhere:1"
    }
    with pytest.raises(ValidationError, match=r"must contain \{\} once"):
        OperationsSettings(**(settings.model_dump() | {"service_url": "http://{}:{}"}))


def test_the_brokers_credentials_serve_its_management_api_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    for name in (
        "order_svc",
        "inventory_svc",
        "payment_svc",
        "notification_svc",
        "user_svc",
        "product_svc",
        "gateway",
    ):
        monkeypatch.setenv(f"{name.upper()}_URL", f"http://{name}:8080/")
    monkeypatch.setenv("AMQP_URL", "amqp://operator:p%40ss@rabbit/%2F")
    monkeypatch.setenv("RABBITMQ_MANAGEMENT_URL", "http://rabbit:15672")
    settings: OperationsSettings = load_settings(OperationsSettings)
    assert settings.management_url() == "http://operator:p%40ss@rabbit:15672"
    assert settings.queue_page("a.events") == "http://rabbit:15672/#/queues/%2F/a.events"
    assert settings.addresses["gateway"] == "http://gateway:8080"


def test_commands_in_errors_are_code() -> None:
    assert with_code("run `journey up` <b>") == "run <code>journey up</code> &lt;b&gt;"
