"""Built images: content, user, labels; they need neither a shell nor a writable root file system."""

import json
import re
import subprocess
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from chassis.telemetry.program import program_version
from journey.admin.registry import SERVICES
from journey.devenv.infra.commands import run
from tests.containers.engine import BUILD_S_MAX, compose, docker, inspected, is_short
from tests.support.image_requirements import LOCK, imported_packages, locked, needed, programs
from tests.support.source_files import PACKAGES, ROOT

pytestmark = [pytest.mark.timeout(1800), pytest.mark.asyncio(loop_scope="package")]

IMAGES = programs(ROOT)
TRIED = ("order_svc", "gateway", "operator") if is_short() else tuple(IMAGES)
LOCKED = locked((ROOT / LOCK).read_text())
BYTES_MAX = 200_000_000  # above the base image
# Prints which of its arguments it can import.
IMPORTABLE = """
import json, sys
from importlib.util import find_spec
print(json.dumps([name for name in sys.argv[1:] if find_spec(name)]))
"""
VERSION = "from chassis.telemetry.program import program_version; print(program_version())"
RESTRICTED = (
    *("--rm", "--read-only", "--network=none"),
    *("--cap-drop=ALL", "--security-opt=no-new-privileges:true"),
)
WITHOUT_SHELL = """
FROM {image}
USER root
RUN ["python", "-c", "import os; [os.remove(f'/bin/{{shell}}') for shell in ('sh', 'bash', 'dash')]"]
USER 10001
"""


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    command = ["docker", "compose", "build", "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=BUILD_S_MAX)


def image(name: str) -> str:
    return f"order-journey/{name}"


def module_names(packages: set[str]) -> set[str]:
    """The importable top-level names of these packages, but for private ones."""
    named = packages_distributions().items()
    return {module for module, names in named if packages & set(names) and not module.startswith("_")}


def own_packages(name: str) -> set[str]:
    """operations shows what each service handles, from its definition."""
    more = {"operations": {*SERVICES, "gateway", "journey"}, "operator": {"journey"}}.get(name, set())
    return {name, "contracts", "chassis"} | more


@pytest.mark.parametrize("name", TRIED)
async def test_an_image_imports_its_program_and_nothing_foreign(name: str) -> None:
    everything = {package.name for package in LOCKED}
    own = needed(LOCKED, imported_packages(ROOT, name, LOCKED))
    foreign = module_names(everything) - module_names(own) | {*PACKAGES, "tests", "tools"} - own_packages(
        name
    )
    assert len(foreign) > 10
    command = ("run", *RESTRICTED, image(name), "python", "-c")
    assert json.loads(await docker(*command, IMPORTABLE, *sorted(foreign))) == []
    program = f"import {IMAGES[name][0]} as program; print(program.__file__)"
    assert (await docker(*command, program)).startswith("/app/")


@pytest.mark.parametrize("name", TRIED)
async def test_an_image_has_user_labels_and_commands_in_exec_form(name: str) -> None:
    config = (await inspected(image(name)))["Config"]
    labels = config["Labels"]
    assert config["User"] == "10001"
    assert config["Cmd"][0] == "python" and not config["Entrypoint"]
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert labels["org.opencontainers.image.title"] == name
    assert labels["org.opencontainers.image.version"] == program_version() != ""
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert await docker("run", *RESTRICTED, image(name), "python", "-c", VERSION) == program_version()


async def test_a_service_starts_where_there_is_no_shell(tmp_path: Path) -> None:
    """The command and the health check run, and end as they should without settings and without a service."""
    (tmp_path / "Dockerfile").write_text(WITHOUT_SHELL.format(image=image("order_svc")))
    tag = "order-journey/test-without-shell"
    await docker("build", "--quiet", "--tag", tag, str(tmp_path))
    try:
        code, output = await run_in(tag, "sh", "-c", "true")
        assert code != 0 and "executable file not found" in output
        code, output = await run_in(tag)
        assert "wrong settings" in output and "AMQP_URL" in output
        code, output = await run_in(tag, *(await inspected(tag))["Config"]["Healthcheck"]["Test"][1:])
        assert (code, output) == (1, "")
    finally:
        await docker("image", "rm", tag)


async def run_in(tag: str, *command: str) -> tuple[int, str]:
    return await run(["docker", "run", *RESTRICTED, tag, *command], timeout_s=60)


async def test_images_are_small_and_their_sizes_are_shown() -> None:
    [base] = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    base_size = (await inspected(base))["Size"]
    sizes = {name: (await inspected(image(name)))["Size"] for name in IMAGES}
    for name, size in sizes.items():
        above = (size - base_size) / 1e6
        print(f"{name:<17} {size / 1e6:4.0f} MB, of these {above:3.0f} MB above the base image")
    assert max(sizes.values()) - base_size < BYTES_MAX
    assert sizes["operator"] < min(sizes[name] for name in SERVICES)


async def test_compose_builds_exactly_these_images() -> None:
    services = json.loads(await compose("config", "--format", "json"))["services"].values()
    assert {each["image"] for each in services if "build" in each} == {image(name) for name in IMAGES}
