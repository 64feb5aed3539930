"""Adds the service of sample_service.toml to a copy of the checkout, as docs/new-service.md describes it."""

import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.registration import compose_entry
from tests.support.source_files import ROOT

NAME = "loyalty_svc"
SAMPLE = ROOT / "tests" / "support" / "sample_service.toml"
FILES: dict[str, str] = tomllib.loads(SAMPLE.read_text())["files"]
# What .gitignore names may change while the test runs: a shop that runs from the checkout writes .journey.
_IGNORED = (line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split())
_LEFT_OUT = shutil.ignore_patterns(".git", "*.png", *_IGNORED)

# By hand: file -> (a part of it, what replaces it).
BY_HAND: dict[str, tuple[tuple[str, str], ...]] = {
    "contracts/catalog.py": (
        ("import inventory, ", "import inventory, loyalty, "),
        ("    inventory.INVENTORY,\n", "    inventory.INVENTORY,\n    loyalty.LOYALTY,\n"),
    ),
    "journey/admin/registry.py": (
        ("from notification_svc", "from loyalty_svc.service import loyalty_service\nfrom notification_svc"),
        ("= {\n    ", '= {\n    "loyalty_svc": loyalty_service,\n    '),
    ),
    "compose.yaml": (("\n  # The only public", f"{compose_entry(NAME)}\n  # The only public"),),
}


@dataclass(frozen=True)
class Checkout:
    """A copy of the checkout, in which commands run as `make check` runs them."""

    root: Path

    def run(self, *command: str, within_s: float = 280) -> tuple[int, str]:
        """The exit code, and what the command printed."""
        done = subprocess.run(
            [str(ROOT / ".venv" / "bin" / command[0]), *command[1:]],
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=within_s,
        )
        return done.returncode, done.stdout + done.stderr

    def python(self, *arguments: str) -> tuple[int, str]:
        return self.run("python", *arguments)

    def replace(self, file: str, old: str, new: str) -> None:
        text = (self.root / file).read_text()
        assert old in text, f"{file} has no {old!r}; adapt tests/support/new_service.py"
        (self.root / file).write_text(text.replace(old, new, 1))

    def changed(self) -> set[str]:
        """The files that were there before, and differ now."""
        return {
            path for path in _files(ROOT) if (self.root / path).read_bytes() != (ROOT / path).read_bytes()
        }


def _files(root: Path) -> Iterator[str]:
    for path in root.rglob("*"):
        relative = path.relative_to(root)
        if path.is_file() and not any(_LEFT_OUT(str(root), list(relative.parts))):
            yield str(relative)


def copy_to(root: Path) -> Checkout:
    shutil.copytree(ROOT, root, ignore=_LEFT_OUT, symlinks=True)
    return Checkout(root)


def add_service(checkout: Checkout) -> None:
    for file, text in FILES.items():
        (checkout.root / file).parent.mkdir(exist_ok=True)
        (checkout.root / file).write_text(text)
    for file, parts in BY_HAND.items():
        for old, new in parts:
            checkout.replace(file, old, new)
    code, output = checkout.python("-m", "tests.support.documents")
    assert code == 0, output
