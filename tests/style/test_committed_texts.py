"""Committed texts name no path of a machine and no package registry, and documents name files that exist."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.source_files import ROOT, complain


def test_no_path_or_registry_of_a_machine_is_committed() -> None:
    complain(_leaks())


def _leaks() -> Iterator[str]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    indexes = [os.environ.get(name, "") for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX")]
    hosts = {urlsplit(url).hostname for url in indexes if url} - {"pypi.org", None}
    homes = "|".join(("work", "farm", "Users", "root", "home/[a-z]+"))  # split, so that this line is no match
    wrong = re.compile(
        rf"(?<![\w.}}$])/(?:{homes})/\w|(?<!no-emit-)(?:extra-)?index-"
        + r"url\s*=?\s*http|--find-"
        + r"links"
        r"|https?://[^\s\"']*/simple/"
        + "".join(f"|{re.escape(host)}" for host in sorted(filter(None, hosts)))
    )
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if not name or not path.is_file() or b"\0" in path.read_bytes()[:1024]:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if found := wrong.search(line):
                yield f"{name}:{number}: {found[0]!r} belongs to one machine; take it from the environment"


def test_the_walk_through_a_journey_names_only_files_that_exist() -> None:
    walk = ROOT / "docs" / "journey.md"
    named = set(re.findall(r"[\w./-]+\.(?:py|md|json|ya?ml|toml|html)\b", walk.read_text()))
    complain(
        f"docs/journey.md names {name}, which does not exist; name its new path"
        for name in sorted(named)
        if not (ROOT / name).exists() and not (walk.parent / name).exists()
    )
