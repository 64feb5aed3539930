"""Images hold the code and the libraries that their programs import, and no others; the Dockerfile's rules.

tests/integration/images/test_program_code.py runs that code, tests/containers/test_images.py the images.
"""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from journey.admin.broker.topology_file import stored_topology
from journey.admin.registry import SERVICES, shop_topology
from tests.support.image_requirements import (
    LOCK,
    OPERATOR,
    SHARED,
    image_code,
    imported_packages,
    locked,
    needed,
    programs,
)
from tests.support.source_files import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
LIBRARIES = {"contracts", "chassis"}
# Packages of this project in each image. operations shows what each service handles, from its definition.
OWN = {
    **{name: {name, *LIBRARIES} for name in (*SERVICES, "gateway")},
    "operations": {"operations", "journey", "gateway", *SERVICES, *LIBRARIES},
    "operator": {"journey", *LIBRARIES},
}
LOCKED = locked((ROOT / LOCK).read_text())


@pytest.mark.parametrize("image", OWN)
def test_an_image_holds_no_foreign_package(image: str) -> None:
    assert {file.parts[0] for file in image_code(ROOT, image).files} == OWN[image]


def test_every_program_has_an_image_and_every_image_its_requirements() -> None:
    assert set(programs(ROOT)) == set(OWN)
    files = {path.stem for path in (ROOT / "requirements" / "images").glob("*.txt")}
    assert files == {*OWN, SHARED}


def test_images_hold_only_libraries_that_they_need() -> None:
    own = {image: needed(LOCKED, imported_packages(ROOT, image, LOCKED)) for image in OWN}
    assert {image for image, names in own.items() if "argon2-cffi" in names} == {"user_svc"}
    assert {image for image, names in own.items() if "aiosmtplib" in names} == {"notification_svc"}
    assert {image for image, names in own.items() if "python-multipart" in names} == {"gateway", "operations"}
    assert not {"fastapi", "uvicorn", "uvloop", "jinja2"} & own["operator"]
    assert all(names < {package.name for package in LOCKED} for names in own.values())


def test_a_pinned_package_needs_those_that_name_it() -> None:
    lock = locked(
        "a==1 \\\n    --hash=sha256:1\n    # via\n    #   shop (pyproject.toml)\n    #   b\n"
        "b==2 ; python_version < '4' \\\n    --hash=sha256:2\n    # via c\n"
        "c==3 \\\n    --hash=sha256:3\nd==4\n"
    )
    assert [package.name for package in lock] == ["a", "b", "c", "d"]
    assert needed(lock, {"c"}) == {"a", "b", "c"}


def test_the_operators_topology_file_is_up_to_date() -> None:
    assert stored_topology() == shop_topology()


def test_the_base_image_is_an_argument_with_a_pinned_release() -> None:
    [default] = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+(\.\d+)?-slim-[a-z]+(@sha256:[0-9a-f]{64})?", default)
    bases = re.findall(r"^FROM (\S+) AS (\w+)", DOCKERFILE, re.MULTILINE)
    stages = {name for _, name in bases}
    assert {base for base, _ in bases} - stages == {"${PYTHON_IMAGE}"}
    assert f"${{PYTHON_IMAGE:-{default}}}" in (ROOT / "compose.yaml").read_text()


@pytest.mark.parametrize("stage", ["operator", "service"])
def test_containers_start_without_a_shell_or_rights(stage: str) -> None:
    """Exec forms only: Docker starts a shell for every other form."""
    parts = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL))
    assert re.search(r"^USER 10001$", parts["base"], re.MULTILINE)
    assert f"FROM base AS {stage}\n" in DOCKERFILE and "USER" not in parts[stage]
    commands = re.findall(r"^ *CMD (.*)$", parts[stage], re.MULTILINE)
    assert len(commands) == 2 and "HEALTHCHECK" in parts[stage]
    assert all(json.loads(command)[0] == "python" for command in commands)


def test_the_version_of_the_images_is_that_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"ARG VERSION={version}\n" in DOCKERFILE
    assert f"VERSION: ${{VERSION:-{version}}}\n" in (ROOT / "compose.yaml").read_text()
    assert "SERVICE_VERSION=${VERSION}" in DOCKERFILE


def test_the_operators_image_holds_every_command_for_containers() -> None:
    [modules] = re.findall(r"program_code.py checkout /app (journey\.\S.*?) *\\?$", DOCKERFILE, re.MULTILINE)
    assert tuple(shlex.split(modules)) == OPERATOR
    held = image_code(ROOT, "operator").files
    assert Path("journey/admin/database/__main__.py") in held
    assert {path.relative_to(ROOT) for path in (ROOT / "journey" / "admin").glob("*/__main__.py")} <= held
