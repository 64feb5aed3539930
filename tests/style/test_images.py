"""Images hold the code that their programs import, and no more of the operators' tools."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def copied(target: str) -> list[tuple[list[str], str]]:
    """The sources and the destination of each COPY from the checkout,
    in this stage and those that it begins with.
    """
    stages: dict[str, tuple[str, list[tuple[list[str], str]]]] = {}
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if found := re.fullmatch(r"FROM (\S+) AS (\w+)", line):
            name = found[2]
            stages[name] = (found[1], [])
        elif line.startswith("COPY ") and "--from" not in line:
            *sources, destination = line.split()[1:]
            stages[name][1].append((sources, destination))
    parent, copies = stages[target]
    return [*(copied(parent) if parent in stages else []), *copies]


def build(target: str, app: Path, service: str = "") -> None:
    """The directory /app of the image. `service`: the build argument SERVICE."""
    named = [
        ([source.replace("${SERVICE}", service) for source in sources], to.replace("${SERVICE}", service))
        for sources, to in copied(target)
    ]
    for sources, destination in named:
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(
                    ROOT / source, app / destination, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                (app / destination).mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, app / destination)


@pytest.mark.parametrize(
    ("target", "module"),
    [("operations", "operations.__main__"), ("operator", "journey.admin.broker.topology_controller")],
)
def test_an_image_holds_what_its_program_imports(target: str, module: str, tmp_path: Path) -> None:
    build(target, tmp_path)
    command = [sys.executable, "-P", "-c", f"import {module} as found; print(found.__file__)"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)


@pytest.mark.parametrize("target", ["operations", "operator"])
def test_no_image_holds_what_only_the_command_line_needs(target: str, tmp_path: Path) -> None:
    build(target, tmp_path)
    assert sorted(path.name for path in (tmp_path / "journey").iterdir()) == [
        "__init__.py",
        "admin",
        "client.py",
    ]


def test_the_image_of_product_svc_holds_its_drawings(tmp_path: Path) -> None:
    build("service", tmp_path, service="product_svc")
    drawing = (
        "from product_svc.illustrations.illustration import render_illustration as draw;"
        " print(draw('A', 'kettle', ''))"
    )
    command = [sys.executable, "-P", "-c", drawing]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout.startswith("<svg "), done.stderr
