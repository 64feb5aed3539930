"""The images that compose.yaml builds, and the programs that they run."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMPOSE = "compose.yaml"
_WITH_DEFAULT = re.compile(r"\$\{\w+:?-([^}]*)\}")
_MODULE = re.compile(r"""["' ]-m["',\s]+([\w.]+)""")


@dataclass(frozen=True)
class Image:
    """`build_args`: NAME=VALUE. `programs`: the packages and modules that containers of the image run."""

    service: str
    name: str
    target: str
    build_args: tuple[str, ...]
    programs: frozenset[str]

    def as_matrix_entry(self) -> dict[str, str]:
        """For `strategy.matrix.include`. `build_args` has one line per argument."""
        return {
            "service": self.service,
            "image": self.name,
            "target": self.target,
            "build_args": "\n".join(self.build_args),
        }


def build_settings(compose: str) -> dict[str, Any]:
    """Service -> its `build` settings in the text of a compose file, for the services with such settings."""
    services: dict[str, Any] = yaml.safe_load(compose)["services"]
    return {name: settings["build"] for name, settings in services.items() if "build" in settings}


def built_images(root: Path) -> list[Image]:
    """The images of compose.yaml, in its order.

    Raises LookupError if an image's program is found neither as a package with the service's name nor as
    `-m MODULE` in its stage of the Dockerfile.
    """
    compose = (root / COMPOSE).read_text()
    services: dict[str, Any] = yaml.safe_load(compose)["services"]
    return [
        Image(
            service=service,
            name=services[service].get("image", service),
            target=str(build.get("target", "")),
            build_args=tuple(_arguments(build.get("args", {}))),
            programs=_programs(root, service, services),
        )
        for service, build in build_settings(compose).items()
    ]


def _arguments(arguments: dict[str, Any]) -> list[str]:
    """With the default of each variable of compose's interpolation."""
    return [f"{name}={_WITH_DEFAULT.sub(lambda found: found[1], str(arguments[name]))}" for name in arguments]


def _programs(root: Path, service: str, services: dict[str, Any]) -> frozenset[str]:
    """Several services of the compose file may run programs of one image."""
    image = services[service].get("image", service)
    commands = [json.dumps(each.get("command")) for each in services.values() if each.get("image") == image]
    stage = _stage(root, services[service]["build"].get("target", ""))
    found = {module for text in (*commands, stage) for module in _MODULE.findall(f" {text}")}
    if (root / service / "__init__.py").exists():
        found.add(service)
    if not found:
        raise LookupError(
            f"{COMPOSE}: {service} has no program; write `-m MODULE` in its stage of the Dockerfile"
        )
    return frozenset(found)


def _stage(root: Path, target: str) -> str:
    """The text of a stage of the Dockerfile; of the last one without a target."""
    _, *parts = re.split(r"^FROM .* AS (\S+)$", (root / "Dockerfile").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True)).get(target, parts[-1])
