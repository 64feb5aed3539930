"""The lists of services in files that cannot derive them.

These are pyproject.toml, compose.yaml, compose.tools.yaml, Prometheus' configuration and README.md. `make
documents` writes the lists from the folders whose names end in `_svc`. Except in README.md a list stands
between the comments `# services` and `# /services`.
"""

import re
import textwrap
from pathlib import Path

from chassis.core.definition import ServiceDefinition
from journey.admin.registry import CONSUMING_SERVICES
from tests.support.decision_tables import markdown
from tests.support.service_folders import service_folders

COLUMNS_MAX = 110
_LIST = re.compile(r"^(?P<indent> *)# services\n(?:.*\n)*?(?P<end> *# /services)$", re.MULTILINE)
_LAYER = re.compile(r"\b\w+_svc(?: \| \w+_svc)+")


def with_services(text: str, services: tuple[str, ...]) -> str:
    """pyproject.toml or a YAML file, with these services in each list."""

    def renewed(found: re.Match[str]) -> str:
        if ": *any_port" in found[0]:
            lines = [f"{name}: *any_port" for name in services]
        elif "_credentials: {}" in found[0]:
            lines = [f"{name}_credentials: {{}}" for name in services]
        elif "_credentials:/" in found[0]:
            lines = [f'- "{name}_credentials:/service_credentials/{name}"' for name in services]
        elif f"\n{found['indent']}- " in found[0]:
            lines = [f"- {name}" for name in services]
        else:
            quoted = ", ".join(f'"{name}"' for name in services) + ","
            lines = textwrap.wrap(quoted, COLUMNS_MAX - len(found["indent"]), break_on_hyphens=False)
        return "\n".join([found["indent"] + line for line in ("# services", *lines)] + [found["end"]])

    return _LAYER.sub(" | ".join(services), _LIST.sub(renewed, text))


def services_table(root: Path) -> str:
    """One row per process: what it does, from the first sentence of its README, and what it stores."""
    definitions = {name: make() for name, make in CONSUMING_SERVICES.items()}
    names = (*definitions, *(name for name in service_folders(root) if name not in definitions), "operations")
    rows = [
        (f"[{name}]({name}/README.md)", purpose(root / name), _stored(definitions.get(name)))
        for name in names
    ]
    return markdown(("Service", "What it does", "Stores"), rows)


def purpose(folder: Path) -> str:
    """The first sentence of the README below its heading."""
    readme = folder / "README.md"
    paragraph = readme.read_text().split("\n\n")[1].replace("\n", " ") if readme.exists() else ""
    return paragraph.partition(". ")[0].removesuffix(".")


def _stored(definition: ServiceDefinition | None) -> str:
    return ", ".join(f"`{kind}`" for kind in sorted(definition.kinds)) if definition else ""
