"""A real Prometheus and a real Alertmanager that watch a shop of a test, with the repository's configuration.

Only addresses, intervals and receivers differ from what the compose profile runs; rules are copied unchanged,
or with shorter `for` durations.
"""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from journey.devenv.infra.monitoring import MonitoringPrograms
from journey.devenv.infra.ports import free_ports
from journey.devenv.infra.processes import Processes
from journey.devenv.process_shop import ProcessShop
from tests.support.alert_rules import OBSERVABILITY, RULES, parsed, with_short_for

START_S_MAX = 60.0
EXPORTER_MISSING = "RabbitMQ has no exporter: `rabbitmq-plugins enable rabbitmq_prometheus`"
Alert = dict[str, Any]


class Prometheus:
    """The HTTP API of a running Prometheus."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self._http = http

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query. An error of Prometheus fails the test."""
        response = await self._http.post(f"{self.url}/api/v1/query", data={"query": expression})
        assert response.is_success, f"{expression}: {response.text}"
        found: list[dict[str, Any]] = response.json()["data"]["result"]
        return found

    async def targets_down(self) -> dict[str, str]:
        """Address -> error of each target that Prometheus could not read."""
        response = (await self._http.get(f"{self.url}/api/v1/targets")).raise_for_status()
        targets = response.json()["data"]["activeTargets"]
        return {each["scrapeUrl"]: each["lastError"] for each in targets if each["health"] != "up"}


class Webhook:
    """The alerts that Alertmanager has sent."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self.alerts: list[Alert] = []

    def received(self, name: str, status: str, **labels: str) -> list[Alert]:
        wanted = {"alertname": name, **labels}
        return [
            alert
            for alert in self.alerts
            if alert["status"] == status and wanted.items() <= alert["labels"].items()
        ]


@contextmanager
def running_webhook() -> Iterator[Webhook]:
    """Receives what Alertmanager sends to a `webhook_config`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.alerts += json.loads(body)["alerts"]
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    webhook = Webhook(server.server_port)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@asynccontextmanager
async def running_prometheus(
    programs: MonitoringPrograms, shop: ProcessShop, folder: Path, *, webhook: Webhook | None = None
) -> AsyncIterator[Prometheus]:
    """Scrapes every process of the shop and the broker each second.

    With a webhook, alerts fire without their `for` duration, and Alertmanager sends them there.
    """
    folder.mkdir()
    port, manager_port = free_ports(2)
    exporter = await _exporter(shop)
    config = _prometheus_config(shop, exporter, f"127.0.0.1:{manager_port}")
    for path in RULES.glob("*.yml"):
        rules = parsed(path)
        _write(folder / "rules" / path.name, rules if webhook is None else with_short_for(rules))
    _write(folder / "prometheus.yml", config)
    processes = Processes(folder)
    commands = {"prometheus": _prometheus_command(programs, folder, port)}
    if webhook is not None:
        _write(folder / "alertmanager.yml", _alertmanager_config(webhook))
        commands["alertmanager"] = _alertmanager_command(programs, folder, manager_port)
    try:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            for name, command in commands.items():
                processes.start(name, command, log=folder / f"{name}.log", cwd=folder)
                address = f"http://127.0.0.1:{port if name == 'prometheus' else manager_port}"
                await processes.wait_until_ready(
                    name, partial(_responds, http, address), timeout_s=START_S_MAX
                )
            yield Prometheus(f"http://127.0.0.1:{port}", http)
    finally:
        for name in commands:
            await processes.stop(name, grace_s=5)


def _prometheus_config(shop: ProcessShop, exporter: str, manager: str) -> dict[str, Any]:
    config: dict[str, Any] = parsed(OBSERVABILITY / "prometheus" / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [manager]}]}]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    services = jobs["services"]
    names = services.pop("dns_sd_configs")[0]["names"]
    del services["relabel_configs"]
    services["static_configs"] = [
        {"targets": [urlsplit(shop.endpoints.http[name]).netloc], "labels": {"service": name}}
        for name in names
    ]
    for job in (jobs["rabbitmq"], jobs["rabbitmq_queues"]):
        first = job.pop("dns_sd_configs")[0]["names"][0]
        del job["relabel_configs"]
        job["static_configs"] = [{"targets": [exporter], "labels": {"instance": first, "service": first}}]
    jobs["rabbitmq_queues"]["params"]["vhost"] = [shop.endpoints.vhost]
    config["scrape_configs"] = [services, jobs["rabbitmq"], jobs["rabbitmq_queues"]]
    return config


def _alertmanager_config(webhook: Webhook) -> dict[str, Any]:
    config: dict[str, Any] = parsed(OBSERVABILITY / "alertmanager" / "alertmanager.yml")
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    config["receivers"] = [
        {"name": receiver["name"], "webhook_configs": [{"url": webhook.url, "send_resolved": True}]}
        for receiver in config["receivers"]
    ]
    return config


async def _exporter(shop: ProcessShop) -> str:
    """Host and port of the broker's own exporter, as the broker's management API names it."""
    async with shop.admin as admin:
        listeners = (await admin.ask("GET", "overview"))["listeners"]
    ports = [listener["port"] for listener in listeners if listener["protocol"] == "http/prometheus"]
    assert ports, EXPORTER_MISSING
    return f"{urlsplit(shop.infrastructure.management_url).hostname}:{ports[0]}"


def _prometheus_command(programs: MonitoringPrograms, folder: Path, port: int) -> list[str | Path]:
    return [
        programs.prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]


def _alertmanager_command(programs: MonitoringPrograms, folder: Path, port: int) -> list[str | Path]:
    return [
        programs.alertmanager,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alerts'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]


async def _responds(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/-/ready")).is_success
    except httpx.HTTPError:
        return False


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
