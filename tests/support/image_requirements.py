"""The locked requirements of each image: those of requirements/services.txt that its programs import.

`make documents` writes them to requirements/images/, from the imports of the code that the image holds
(tools/program_code.py) and the lock's own comments about which package needs which.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tests.support.service_folders import service_folders
from tools.program_code import ProgramCode, code_of

LOCK = Path("requirements/services.txt")
FOLDER = Path("requirements/images")
HEALTH_CHECK = "chassis.healthcheck"
# What containers of the operator's image run: the controller, and each `python -m journey.admin.…` for jobs.
# The Dockerfile names the same modules.
OPERATOR = ("journey.admin.broker.topology_controller", "journey.admin.*.__main__")
SHARED = "shared"
HEADING = "# `make documents` writes this file: the part of services.txt that the image {name} needs.\n"
HEADING_OF_SHARED = (
    "# `make documents` writes this file: what the images of all services need, installed once.\n"
)
# Libraries that other libraries import only when a program calls this, and which packages these are.
LOADED_ON_CALL = {re.compile(r"\.form\(\)"): "python-multipart"}
_BLOCK = re.compile(r"^(?P<name>[a-z0-9-]+)==.*\n(?: .*\n)*", re.MULTILINE)
_PARENT = re.compile(r"^    # +(?:via )?(?P<name>[a-z0-9-]+)$", re.MULTILINE)
_COMMENT = re.compile(r"^ +#.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Locked:
    """One pinned package. `text`: its lines in the lock. `needed_by`: the packages that require it."""

    name: str
    text: str
    needed_by: frozenset[str]


def programs(root: Path) -> dict[str, list[str]]:
    """Image -> the modules that it starts."""
    applications = (*service_folders(root), "gateway", "operations")
    return {
        **{name: [f"{name}.__main__", HEALTH_CHECK] for name in applications},
        "operator": list(OPERATOR),
    }


def image_code(root: Path, name: str) -> ProgramCode:
    return code_of(root, programs(root)[name])


def requirement_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Each file of requirements/images with its content.

    The build installs shared.txt first, so that it installs most packages once instead of once per image.
    """
    lock = locked((root / LOCK).read_text())
    wanted = {name: needed(lock, imported_packages(root, name, lock)) for name in programs(root)}
    for name, packages in wanted.items():
        yield FOLDER / f"{name}.txt", HEADING.format(name=name) + _lines(lock, packages)
    shared = set.intersection(*(packages for name, packages in wanted.items() if name != "operator"))
    yield FOLDER / f"{SHARED}.txt", HEADING_OF_SHARED + _lines(lock, shared)


def _lines(lock: list[Locked], names: set[str]) -> str:
    return "".join(_COMMENT.sub("", package.text) for package in lock if package.name in names)


def locked(text: str) -> list[Locked]:
    """The packages of a file that `uv pip compile` wrote; one with several markers is there several times."""
    return [
        Locked(found["name"], found[0], frozenset(each["name"] for each in _PARENT.finditer(found[0])))
        for found in _BLOCK.finditer(text)
    ]


def needed(lock: list[Locked], names: set[str]) -> set[str]:
    """These packages and what they require, directly or through others."""
    while more := {each.name for each in lock if each.needed_by & names} - names:
        names = names | more
    return names


def imported_packages(root: Path, name: str, lock: list[Locked]) -> set[str]:
    """The packages that the code of an image imports. Raises LookupError for one that is not in the lock."""
    code = image_code(root, name)
    owners = _module_owners(frozenset(package.name for package in lock))
    found = {_owner(library, owners) for library in code.libraries}
    texts = [(root / file).read_text() for file in code.files if file.suffix == ".py"]
    return found | {
        package for call, package in LOADED_ON_CALL.items() if any(call.search(text) for text in texts)
    }


def _owner(library: str, owners: dict[str, str]) -> str:
    """Of the name of a module, or of an object in one."""
    module = library
    while module not in owners:
        module, dot, _ = module.rpartition(".")
        if not dot:
            raise LookupError(f"{library} is imported, and no package of {LOCK} has it: run `make lock`")
    return owners[module]


@cache
def _module_owners(packages: frozenset[str]) -> dict[str, str]:
    """Module -> the installed package that it is a file of."""
    found: dict[str, str] = {}
    for name in sorted(packages):
        try:
            files = distribution(name).files or ()
        except PackageNotFoundError:  # a package for another Python or another system
            continue
        for file in files:
            if file.suffix in (".py", ".so", ".pyd"):
                parts = [*file.parts[:-1], file.name.partition(".")[0]]
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = name
    return found
