"""A wheel contains every file that the programs read, not only their modules."""

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES: list[str] = PYPROJECT["packages"]["find"]["include"]
PATTERNS: list[str] = PYPROJECT["package-data"]["*"]


def left_out(files: list[PurePosixPath]) -> list[PurePosixPath]:
    """The files that match no pattern.

    Every folder counts as a package: setuptools finds namespace packages.
    """
    return [file for file in files if not any(fnmatch(file.name, pattern) for pattern in PATTERNS)]


def data_files() -> list[PurePosixPath]:
    """Files of the packages that are neither modules nor documents."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    files = [PurePosixPath(line) for line in listed.stdout.splitlines()]
    return [
        file
        for file in files
        if len(file.parts) > 1
        and any(fnmatch(file.parts[0], package) for package in PACKAGES)
        and file.suffix not in (".py", ".md")
        and (ROOT / file).exists()
    ]


def test_every_data_file_is_in_the_wheel() -> None:
    assert left_out(data_files()) == [], "add its pattern to [tool.setuptools.package-data] in pyproject.toml"


def test_a_file_without_a_pattern_is_noticed() -> None:
    for known in ("journey/devenv/catalogue.json", "product_svc/illustrations/motifs/kettle.svg"):
        assert PurePosixPath(known) in data_files()
    lost = PurePosixPath("journey/devenv/catalogue.yaml")
    assert left_out([*data_files(), lost]) == [lost]
