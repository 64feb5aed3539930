"""The program of the previous release, and copies of this checkout, each in a folder of its own.

`docs/releases.toml` lists the releases with their commits. A tag `v<version>` names the same commit, but many
clones have no tags. The code comes from the Git history; a shallow clone fetches the commit from its origin.
"""

import shutil
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.support.source_files import ROOT

RELEASES = ROOT / "docs" / "releases.toml"
TREES = ROOT / "build" / "releases"
"""Ignored by Git; kept between runs, with the compiled modules."""
_REMEDY = (
    "the tests of updates need the history of the releases: use a clone of the repository, and fetch what a "
    "shallow clone lacks with `git fetch --unshallow --tags` (in GitHub's actions/checkout: `fetch-depth: 0`)"
)


class HistoryMissing(Exception):
    """The commit of a release is not in this clone, or this is no clone."""


@dataclass(frozen=True)
class Release:
    version: str
    commit: str

    @property
    def tag(self) -> str:
        return f"v{self.version}"


def releases() -> list[Release]:
    """Oldest first."""
    return [Release(**each) for each in tomllib.loads(RELEASES.read_text())["release"]]


def previous_release() -> Release:
    return releases()[-1]


def git(*arguments: str, cwd: Path = ROOT) -> str:
    """The output of a Git command. Raises HistoryMissing if it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", b"").decode(errors="replace").strip() or str(error)
        raise HistoryMissing(f"git {arguments[0]} failed: {why}; {_REMEDY}") from error
    return done.stdout.decode().strip()


def commit_of_tag(release: Release) -> str | None:
    """The commit that the release's tag names; None if this clone has no such tag."""
    found = git("tag", "--list", release.tag)
    return git("rev-parse", f"{release.tag}^{{commit}}") if found else None


def tree_of(release: Release) -> Path:
    """The folder with the release's program. Raises HistoryMissing with the remedy."""
    tree = TREES / release.commit[:12]
    try:
        git("cat-file", "-e", f"{release.commit}^{{commit}}")
    except HistoryMissing:
        git("fetch", "--quiet", "--depth=1", "origin", release.commit)
    if not tree.exists():
        unpacked = TREES / f".{uuid4().hex}"
        unpacked.mkdir(parents=True)
        archive = unpacked.with_suffix(".tar")
        git("archive", "--format=tar", f"--output={archive}", release.commit)
        subprocess.run(["tar", "-xf", archive, "-C", unpacked], check=True)
        archive.unlink()
        _move_to(unpacked, tree)
    return tree


def changed_copy(folder: Path, change: Callable[[Path], None]) -> Path:
    """A copy of this checkout with its uncommitted changes, after `change(copy)`."""
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    change(folder)
    return folder


def _move_to(unpacked: Path, tree: Path) -> None:
    """Another test process may have been faster."""
    try:
        unpacked.rename(tree)
    except OSError:
        if not tree.exists():
            raise
        shutil.rmtree(unpacked)
