"""The compose profile `observability`: pinned images, files that exist, and parts that fit each other."""

import json
import re
import shutil
import subprocess
from itertools import chain
from typing import Any

import pytest

from tests.support.alert_rules import OBSERVABILITY, ROOT, alert_expressions, panel_expressions, parsed
from tests.support.dashboards.files import dashboard_files

MONITORING = ("collector", "jaeger", "prometheus", "alertmanager", "grafana")
QUEUE_ALERTS = {"DeadLetters", "ConsumerGone", "QueueGrowing"}
_OF_A_NODE = re.compile(r"\b(rabbitmq|erlang)_(?!detailed_queue)")
_PINNED = re.compile(r"^\$\{[A-Z]+_IMAGE:-[a-z/-]+:v?\d+\.\d+\.\d+\}$")


def compose() -> dict[str, Any]:
    content: dict[str, Any] = parsed(ROOT / "compose.yaml")
    return content


def scraped() -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = parsed(OBSERVABILITY / "prometheus" / "prometheus.yml")["scrape_configs"]
    return jobs


def test_the_profile_has_pinned_images_and_starts_only_on_request() -> None:
    services = compose()["services"]
    in_profile = [name for name, each in services.items() if "observability" in each.get("profiles", ())]
    assert sorted(in_profile) == sorted(MONITORING)
    for name in MONITORING:
        assert services[name]["profiles"] == ["observability"]
        assert _PINNED.match(services[name]["image"]), services[name]["image"]
        assert all(port.startswith("127.0.0.1:") for port in services[name].get("ports", ()))


def test_the_mounted_files_exist() -> None:
    for name in MONITORING:
        mounted = [volume.split(":")[0] for volume in compose()["services"][name].get("volumes", ())]
        assert [path for path in mounted if path.startswith("./") and not (ROOT / path).exists()] == []


def test_compose_accepts_the_profile() -> None:
    if shutil.which("docker") is None or _compose("version").returncode != 0:
        pytest.skip("docker compose is not installed; the other tests check the files without it")
    done = _compose("--profile", "observability", "config", "--quiet")
    assert done.returncode == 0, done.stderr


def _compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ("docker", "compose", *arguments)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_collector_pipelines_use_only_declared_parts() -> None:
    config = parsed(OBSERVABILITY / "collector" / "collector.yaml")
    pipelines = config["service"]["pipelines"]
    assert pipelines
    for pipeline in pipelines.values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind]), (kind, pipeline)
        assert pipeline["processors"][0] == "memory_limiter"
    used = {name for pipeline in pipelines.values() for name in pipeline["exporters"]}
    assert used == set(config["exporters"])


def test_addresses_name_services_of_compose() -> None:
    names = set(compose()["services"])
    prometheus = parsed(OBSERVABILITY / "prometheus" / "prometheus.yml")
    hosts = set()
    for job in scraped():
        for config in job.get("static_configs", ()):
            hosts |= {target.partition(":")[0] for target in config["targets"]}
        for config in job.get("dns_sd_configs", ()):
            hosts |= set(config["names"])
    for manager in prometheus["alerting"]["alertmanagers"][0]["static_configs"]:
        hosts |= {target.partition(":")[0] for target in manager["targets"]}
    sources = parsed(OBSERVABILITY / "grafana" / "provisioning" / "datasources" / "datasources.yml")
    hosts |= {source["url"].split("/")[2].partition(":")[0] for source in sources["datasources"]}
    [exporter] = parsed(OBSERVABILITY / "collector" / "collector.yaml")["exporters"].values()
    hosts.add(exporter["endpoint"].partition(":")[0])
    mail = parsed(OBSERVABILITY / "alertmanager" / "alertmanager.yml")["global"]["smtp_smarthost"]
    hosts.add(mail.partition(":")[0])
    assert hosts <= names, hosts - names


def test_prometheus_scrapes_every_broker_node_and_knows_it_by_name() -> None:
    services = compose()["services"]
    nodes = [name for name, each in services.items() if each["image"].startswith("${RABBITMQ_IMAGE")]
    clustered = [name for name in nodes if "cluster" in services[name].get("profiles", ())]
    assert len(clustered) == len(nodes) - 1 == 2
    jobs = [job for job in scraped() if job["job_name"].startswith("rabbitmq")]
    assert len(jobs) == 2
    for job in jobs:
        # By DNS: a fixed target of the profile `cluster` would be down without it.
        assert "static_configs" not in job
        [found] = job["dns_sd_configs"]
        assert (found["type"], found["names"]) == ("A", nodes)
        labelled = {each["target_label"]: each["source_labels"] for each in job["relabel_configs"]}
        assert labelled == {label: ["__meta_dns_name"] for label in ("instance", "service")}


def test_no_fixed_target_belongs_to_another_profile() -> None:
    services = compose()["services"]
    for job in scraped():
        for config in job.get("static_configs", ()):
            for target in config["targets"]:
                profiles = services[target.partition(":")[0]].get("profiles", [])
                assert set(profiles) <= {"observability"}, target


def test_expressions_of_queues_count_each_queue_once() -> None:
    """While a leader moves, two nodes report its queue."""
    expressions = [*alert_expressions(), *chain.from_iterable(panel_expressions(["order_svc"]).values())]
    of_queues = [each for each in expressions if "rabbitmq_detailed_queue" in each.text]
    assert len(of_queues) > len(QUEUE_ALERTS)
    assert {each.source.partition(" (")[0] for each in of_queues} >= QUEUE_ALERTS
    for each in of_queues:
        once = each.text.count("max by (queue) (rabbitmq_detailed_queue")
        assert once == each.text.count("rabbitmq_detailed_queue"), each


def test_expressions_of_nodes_sum_them_or_name_them() -> None:
    """A panel without both has three lines with one name, and shows no total."""
    for path in sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                if _OF_A_NODE.search(target["expr"]):
                    is_total = target["expr"].startswith(("sum(", "sum by ("))
                    assert is_total or "{{instance}}" in target["legendFormat"], (path.name, target["expr"])


def test_dashboards_use_the_provisioned_sources_and_have_titles() -> None:
    sources = parsed(OBSERVABILITY / "grafana" / "provisioning" / "datasources" / "datasources.yml")
    known = {source["uid"] for source in sources["datasources"]}
    titles = []
    for text in dashboard_files().values():
        board = json.loads(text)
        titles.append(board["title"])
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        assert all(panel["title"] and panel["targets"] for panel in panels)
        assert {panel["datasource"]["uid"] for panel in panels} <= known
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    assert len(set(titles)) == len(titles) == 7


def test_no_dashboard_is_left_over() -> None:
    folder = OBSERVABILITY / "grafana" / "dashboards"
    assert {path.name for path in folder.glob("*.json")} == {path.name for path in dashboard_files()}
