"""The lists that must know every service, and the line that a list lacks.

Each function takes packages of services and yields a sentence for each one that its list does not know. What
is derived from the registry or from the folders needs no list: tests/style/test_registration.py shows that.
"""

import tomllib
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from typing import Any

from chassis.core.definition import ServiceDefinition
from contracts.catalog import CATALOG
from journey.admin.registry import CONSUMING_SERVICES, SERVICES
from tests.simulation.simulated_effects import SIMULATED_EFFECTS
from tests.support.applications import parts_of
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.retention_table import NO_REASON
from tests.support.source_files import PACKAGES, ROOT, SERVICE_PACKAGES

GENERATED = "run `make documents`"
Complaints = Callable[[Iterable[str]], Iterator[str]]


def short_name(service: str) -> str:
    """`loyalty` for `loyalty_svc`."""
    return service.removesuffix("_svc")


def registry(services: Iterable[str]) -> Iterator[str]:
    for name in services:
        factory = f"{short_name(name)}_service"
        if name not in SERVICES:
            yield f'journey/admin/registry.py: add to SERVICES: "{name}": {factory}, (from {name}.service)'


def compose(services: Iterable[str]) -> Iterator[str]:
    text = (ROOT / "compose.yaml").read_text()
    for name in services:
        block = text.partition(f"\n  {name}:\n")[2].partition("\n\n")[0]
        needed = (
            f"SERVICE: {name}",
            f"amqp://{name}@",
            f"/credentials/{name}",
            f"{name}_credentials:/credentials",
        )
        if not all(each in block for each in needed):
            entry = compose_entry(name)
            yield f"compose.yaml: add an entry for {name}, or what its entry lacks of it:\n{entry}"
        for line in (f'- "{name}_credentials:/service_credentials/{name}"', f"{name}_credentials: {{}}"):
            if f" {line}\n" not in text:
                yield f"compose.yaml: the line {line} is missing; {GENERATED}"


def compose_entry(name: str) -> str:
    return f"""
  {name}:
    <<: *service
    image: order-journey/{name}
    build: {{context: ., target: service, args: {{SERVICE: {name}, <<: *build}}}}
    volumes: ["{name}_credentials:/credentials:ro"]
    environment:
      <<: *environment
      AMQP_URL: amqp://{name}@broker:5672/journey
      AMQP_PASSWORD_FILE: /credentials/{name}
"""


def compose_tools(services: Iterable[str]) -> Iterator[str]:
    lines = (ROOT / "compose.tools.yaml").read_text().splitlines()
    for name in services:
        if f"  {name}: *any_port" not in lines:
            yield f"compose.tools.yaml: the line for {name} is missing; {GENERATED}"


def catalog(services: Iterable[str]) -> Iterator[str]:
    for name in services:
        prefix = short_name(name)
        if name not in CATALOG.roles:
            yield (
                f"contracts/catalog.py: add {prefix}.{prefix.upper()}, to Catalog(…), and declare it in"
                f' contracts/{prefix}.py: {prefix.upper()} = Owner("{prefix}", service="{name}")'
            )


def image_requirements(services: Iterable[str]) -> Iterator[str]:
    for name in services:
        if not (ROOT / "requirements" / "images" / f"{name}.txt").is_file():
            yield f"requirements/images/{name}.txt is missing; {GENERATED}"


def prometheus(services: Iterable[str]) -> Iterator[str]:
    file = "deploy/observability/prometheus/prometheus.yml"
    lines = {line.strip() for line in (ROOT / file).read_text().splitlines()}
    for name in services:
        if f"- {name}" not in lines:
            yield f"{file}: the line - {name} is missing; {GENERATED}"


def readme(services: Iterable[str]) -> Iterator[str]:
    table = (ROOT / "README.md").read_text()
    for name in services:
        if f"\n| [{name}]({name}/README.md) | " not in table:
            yield f"README.md: the table of services has no row for {name}; {GENERATED}"


def _pyproject() -> dict[str, Any]:
    tools: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return tools


def _in_pyproject(what: str, known: Iterable[str], wanted: Iterable[str]) -> Iterator[str]:
    known = list(known)
    for name in wanted:
        if not any(fnmatch(name, pattern) for pattern in known):
            yield f'pyproject.toml, {what}: "{name}" is missing; {GENERATED}'


def mypy(packages: Iterable[str]) -> Iterator[str]:
    yield from _in_pyproject("packages of [tool.mypy]", _pyproject()["mypy"]["packages"], packages)


def setuptools(packages: Iterable[str]) -> Iterator[str]:
    found = _pyproject()["setuptools"]["packages"]["find"]["include"]
    yield from _in_pyproject("include of [tool.setuptools.packages.find]", found, packages)


def import_roots(packages: Iterable[str]) -> Iterator[str]:
    found = _pyproject()["importlinter"]["root_packages"]
    yield from _in_pyproject("root_packages of [tool.importlinter]", found, packages)


def import_layers(packages: Iterable[str]) -> Iterator[str]:
    layers = _pyproject()["importlinter"]["contracts"][0]["layers"]
    found = {part.strip().partition(".")[0] for layer in layers for part in layer.split("|")}
    yield from _in_pyproject("layers of the first contract of [tool.importlinter]", found, packages)


def import_cycles(packages: Iterable[str]) -> Iterator[str]:
    [found] = [
        each for each in _pyproject()["importlinter"]["contracts"] if each["type"] == "acyclic_siblings"
    ]
    yield from _in_pyproject(f"ancestors of {found['name']!r}", found["ancestors"], packages)


def drivers(services: Iterable[str]) -> Iterator[str]:
    """Services reach the database and the broker through the chassis."""
    contracts = _pyproject()["importlinter"]["contracts"]
    [found] = [each for each in contracts if "aio_pika" in each.get("forbidden_modules", ())]
    yield from _in_pyproject(f"source_modules of {found['name']!r}", found["source_modules"], services)


def retention(services: Iterable[str]) -> Iterator[str]:
    text = (ROOT / "docs" / "retention.md").read_text()
    for name in services:
        for kind in _definition(name).kinds if name in CONSUMING_SERVICES else ("<collection>",):
            row = text.partition(f"\n| {name} | `{kind}` |")[2].partition("\n")[0]
            if not row:
                yield f"docs/retention.md: the row of {name}'s collection {kind} is missing; {GENERATED}"
            elif NO_REASON in row:
                yield f"docs/retention.md: write in the row of {name}'s {kind} why its time is not a setting"


def decision_tables(services: Iterable[str]) -> Iterator[str]:
    known = {(decision_table.service().name, decision_table.kind) for decision_table in DECISION_TABLES}
    for name in services:
        kinds = (
            [each.kind for each in _definition(name).aggregates if each.handles]
            if name in SERVICES
            else ["<kind>"]
        )
        for kind in kinds:
            if (name, kind) not in known:
                yield (
                    f"tests/unit/{name}/decision_tables.py: add to DECISION_TABLES: DecisionTable("
                    f'"{kind}", {short_name(name)}_service, "{kind}", histories=…, messages=…)'
                )


def folder(services: Iterable[str]) -> Iterator[str]:
    for name in services:
        for file, content in (
            ("__init__.py", "a docstring that says what the service does"),
            ("__main__.py", f"`python -m {name}` runs the service"),
            ("application.py", "APPLICATION = Application(<its settings>, build)"),
            ("service.py", f"{short_name(name)}_service() returns its ServiceDefinition"),
            ("README.md", f"# {name}, and a paragraph whose first sentence goes into the table of README.md"),
        ):
            if not (ROOT / name / file).is_file():
                yield f"{name}/{file} is missing; write it: {content}"
        if not [path for path in (ROOT / "tests").rglob(name) if path.is_dir()]:
            yield f"tests/**/{name}/ is missing; write tests of its decider and its API there"


def simulation(services: Iterable[str]) -> Iterator[str]:
    """The simulation needs an outside world for the effects of a service."""
    for name in services:
        has_effects = parts_of(name).effects is not None if name in SERVICES else True
        if has_effects and name not in SIMULATED_EFFECTS:
            yield (
                f"tests/simulation/simulated_effects/{name}.py is missing; write it:"
                " effect_handler(instance) returns the handler of its effects"
            )


def _definition(name: str) -> ServiceDefinition:
    return CONSUMING_SERVICES[name]()


# List -> the packages that it must know, and the complaints about those that it does not.
LISTS: dict[str, tuple[tuple[str, ...], Complaints]] = {
    each.__name__: (wanted, each)
    for wanted, found in (
        (
            SERVICE_PACKAGES,
            (
                folder,
                catalog,
                registry,
                compose,
                compose_tools,
                image_requirements,
                prometheus,
                readme,
                drivers,
                decision_tables,
                simulation,
            ),
        ),
        ((*SERVICE_PACKAGES, "gateway"), (retention,)),
        (PACKAGES, (mypy, setuptools, import_roots, import_layers, import_cycles)),
    )
    for each in found
}
