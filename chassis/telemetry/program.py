"""The program that contains the chassis."""

import os
import tomllib
from pathlib import Path

_PROJECT_FILE = Path(__file__).resolve().parents[2] / "pyproject.toml"


def program_version() -> str:
    """The version of the program that contains the chassis; empty if nothing names it.

    SERVICE_VERSION names it in images, which hold no project file.
    """
    if version := os.environ.get("SERVICE_VERSION"):
        return version
    try:
        return str(tomllib.loads(_PROJECT_FILE.read_text())["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return ""
