"""The alerts, objectives and dashboards as the repository has them, and what tests derive from them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "deploy" / "observability"
RULES = OBSERVABILITY / "prometheus" / "rules"
RULE_TESTS = OBSERVABILITY / "prometheus" / "tests"
RUNBOOKS = ROOT / "docs" / "runbooks"
_SELECTOR = re.compile(r"\{[^}]*\}")
_COMPARISON = re.compile(r"(==|!=|>=|<=|>|<)")


@dataclass(frozen=True)
class Alert:
    """One alerting rule. Two rules may have the same name, and different severities."""

    name: str
    severity: str
    expression: str
    runbook: str


@dataclass(frozen=True)
class Expression:
    """A PromQL expression and its source."""

    source: str
    text: str


def parsed(path: Path) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load(path.read_text())


def rules() -> Iterator[dict[str, Any]]:
    """Every recording and alerting rule."""
    for path in sorted(RULES.glob("*.yml")):
        for group in parsed(path)["groups"]:
            yield from group["rules"]


def alerts() -> list[Alert]:
    return [
        Alert(rule["alert"], rule["labels"]["severity"], rule["expr"], rule["annotations"]["runbook"])
        for rule in rules()
        if "alert" in rule
    ]


def page_name(alert: str) -> str:
    """`dead-letters.md` for `DeadLetters`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower() + ".md"


def with_short_for(content: dict[str, Any]) -> dict[str, Any]:
    """A rule file whose alerts fire at once. Expressions stay as they are."""
    groups = [
        group | {"rules": [rule | ({"for": "0s"} if "for" in rule else {}) for rule in group["rules"]]}
        for group in content["groups"]
    ]
    return content | {"groups": groups}


def unfiltered(expression: str) -> str:
    """The expression with 0 or 1 for each compared series, instead of only those that satisfy a comparison.

    In a healthy shop no series satisfies an alert's comparison, but the compared series must exist.
    """
    selectors = _SELECTOR.findall(expression)
    between = [_COMPARISON.sub(r"\1 bool", part) for part in _SELECTOR.split(expression)]
    return "".join(part + selector for part, selector in zip(between, [*selectors, ""], strict=True))


def alert_expressions() -> list[Expression]:
    return [
        Expression(f"{alert.name} ({alert.severity})", unfiltered(alert.expression)) for alert in alerts()
    ]


def recorded_names() -> list[str]:
    return sorted({rule["record"] for rule in rules() if "record" in rule})


def panel_expressions(services: list[str]) -> dict[str, list[Expression]]:
    """The expressions by their source, once for each service if they have the variable `$service`."""
    found: dict[str, list[Expression]] = {}
    for path in sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                source = f"{path.stem}: {panel['title']} ({target['refId']})"
                found[source] = [Expression(source, text) for text in _filled(target["expr"], services)]
    return found


def _filled(expression: str, services: list[str]) -> Iterator[str]:
    text = expression.replace("$__rate_interval", "30s")
    if "$service" not in text:
        yield text
        return
    yield from (text.replace("$service", service) for service in services)
