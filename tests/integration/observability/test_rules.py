"""The checkers of Prometheus and Alertmanager accept the configuration; each alert fires when it should."""

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from journey.devenv.infra.monitoring import MonitoringPrograms
from tests.support.alert_rules import (
    OBSERVABILITY,
    ROOT,
    RULE_TESTS,
    RULES,
    alerts,
    parsed,
    unfiltered,
    with_short_for,
)


def run(*command: str | Path) -> str:
    """What the command printed. It must succeed."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def test_promtool_accepts_configuration_and_rules(programs: MonitoringPrograms) -> None:
    run(programs.promtool, "check", "config", OBSERVABILITY / "prometheus" / "prometheus.yml")
    run(programs.promtool, "check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yml")))


def test_amtool_accepts_the_configuration(programs: MonitoringPrograms) -> None:
    config = OBSERVABILITY / "alertmanager" / "alertmanager.yml"
    run(programs.amtool, "check-config", config)
    for severity, receiver in (("page", "page"), ("ticket", "ticket")):
        route = ("config", "routes", "test", f"--config.file={config}", "--verify.receivers")
        run(programs.amtool, *route[:-1], f"{route[-1]}={receiver}", f"severity={severity}")


def test_each_alert_passes_its_firing_and_silent_tests(programs: MonitoringPrograms) -> None:
    run(programs.promtool, "test", "rules", *sorted(RULE_TESTS.glob("*.yml")))


def test_each_alert_has_a_firing_and_a_silent_test() -> None:
    fires: defaultdict[str, set[str]] = defaultdict(set)
    silent = set()
    for path in RULE_TESTS.glob("*.yml"):
        for test in parsed(path)["tests"]:
            for checked in test["alert_rule_test"]:
                for expected in checked["exp_alerts"]:
                    fires[checked["alertname"]].add(expected["exp_labels"]["severity"])
                if not checked["exp_alerts"]:
                    silent.add(checked["alertname"])
    assert silent == {alert.name for alert in alerts()}
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for alert in alerts():
        wanted[alert.name].add(alert.severity)
    assert fires == wanted


def test_a_rule_that_never_fires_fails_its_test(programs: MonitoringPrograms, tmp_path: Path) -> None:
    shutil.copytree(OBSERVABILITY / "prometheus", tmp_path / "prometheus")
    path = tmp_path / "prometheus" / "rules" / "alerts.yml"
    content = parsed(path)
    for group in content["groups"]:
        for rule in group["rules"]:
            if rule["alert"] == "DeadLetters":
                rule["expr"] = rule["expr"].replace("> 0", "> 1000")
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(AssertionError, match="DeadLetters"):
        run(programs.promtool, "test", "rules", tmp_path / "prometheus" / "tests" / "alerts_test.yml")


def test_an_unfiltered_expression_keeps_its_selectors() -> None:
    found = unfiltered('max by (a) (x{b!="1",c=~"<=2"}) > 0 and y == 3 * on (a) z{d="="}')
    assert found == 'max by (a) (x{b!="1",c=~"<=2"}) > bool 0 and y == bool 3 * on (a) z{d="="}'


def test_short_for_changes_nothing_else() -> None:
    for path in RULES.glob("*.yml"):
        for before, after in zip(parsed(path)["groups"], with_short_for(parsed(path))["groups"], strict=True):
            for rule, shortened in zip(before["rules"], after["rules"], strict=True):
                assert shortened == rule | ({"for": "0s"} if "for" in rule else {})
