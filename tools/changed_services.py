"""`python -m tools.changed_services`: the images that a range of commits can change, as a GitHub matrix.

compose.yaml names the images that this project builds. An image stands on the modules that its program
imports, directly or not. A changed file changes images as follows:

- a module changes the images that stand on it;
- another file of a package counts as a change of the nearest package;
- requirements/images/SERVICE.txt changes the image of this service;
- the Dockerfile, .dockerignore, other requirements and `build` settings in compose.yaml change all;
- documents, tests, examples and deployment files change none;
- any other file changes all, because a needless build is better than a missing one.

Without a base in the clone, for example on a new branch, all images count as changed. The output is a JSON
array of objects with `service`, `image`, `target` and `build_args`, for `strategy.matrix.include`. The
standard error stream gives the reasons.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tools.images import COMPOSE, Image, build_settings, built_images
from tools.import_graph import ImportGraph

ROOT = Path(__file__).resolve().parents[1]
IMAGE_REQUIREMENTS = PurePosixPath("requirements/images")
NO_IMAGE_FOLDERS = frozenset({".ci", "deploy", "docs", "examples", "tests"})
NO_IMAGE_FILES = frozenset({".gitignore", "LICENSE", "Makefile", "requirements/dev.txt"})


@dataclass(frozen=True)
class Changed:
    """An image and a reason to build it."""

    image: Image
    reason: str


def changed_images(root: Path, base: str | None, head: str) -> list[Changed]:
    """The images that differ between two revisions; all if there is no base.

    The import graph is that of the checkout in `root`, which must be at `head`.
    """
    images = built_images(root)
    if base is None:
        return [Changed(image, "no base to compare with") for image in images]
    files = _git(root, "diff", "--name-only", "--no-renames", "-z", base, head).split("\0")
    return changed_by(root, [file for file in files if file], _build_changed(root, (base, head)))


def changed_by(root: Path, files: Iterable[str], build_changed: bool = False) -> list[Changed]:
    """The images that changes of these files change. `build_changed`: the `build` settings differ."""
    graph = ImportGraph(root)
    paths = [PurePosixPath(file) for file in files if not _in_no_image(file)]
    found = []
    for image in built_images(root):
        modules = graph.stands_on(image.programs)
        causes = [COMPOSE] if build_changed else []
        causes += [str(path) for path in paths if _changes(path, image, modules, graph)]
        found += [Changed(image, cause) for cause in causes[:1]]
    return found


def _in_no_image(file: str) -> bool:
    """The `build` settings in compose.yaml are compared apart."""
    path = PurePosixPath(file)
    return path.suffix == ".md" or path.parts[0] in NO_IMAGE_FOLDERS or file in (*NO_IMAGE_FILES, COMPOSE)


def _changes(path: PurePosixPath, image: Image, modules: frozenset[str], graph: ImportGraph) -> bool:
    """Whether a change of this file changes the image, which stands on `modules`."""
    if path.parent == IMAGE_REQUIREMENTS:
        return path.stem == image.service
    return path.parts[0] not in graph.root_packages or graph.module_of(path) in modules


def _build_changed(root: Path, revisions: tuple[str, str]) -> bool:
    """Whether the `build` settings of any service differ between two revisions."""
    found = [_git(root, "ls-tree", "--name-only", revision, COMPOSE) for revision in revisions]
    if not all(found):
        return True
    before, after = (build_settings(_git(root, "show", f"{revision}:{COMPOSE}")) for revision in revisions)
    return before != after


def base_revision(root: Path, name: str, head: str, merge_base: bool) -> str | None:
    """The commit of a revision's name; with `merge_base`, its merge base with `head`.

    None if the name is empty, GitHub's zeros for a branch without a past, or not in the clone.
    """
    if not name.strip("0"):
        return None
    try:
        commit = _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return (_git(root, "merge-base", commit.strip(), head) if merge_base else commit).strip()
    except subprocess.CalledProcessError:
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(arguments: list[str] | None = None) -> int:
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m tools.changed_services",
        description=first,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    base = parser.add_mutually_exclusive_group(required=True)
    base.add_argument("--base", metavar="REVISION", help="the revision that was built before")
    base.add_argument("--merge-base", metavar="REVISION", help="the branch that a pull request goes to")
    base.add_argument("--all", action="store_true", help="every image")
    parser.add_argument("--head", metavar="REVISION", default="HEAD", help="default: HEAD")
    options = parser.parse_args(arguments)
    name = options.base or options.merge_base or ""
    revision = base_revision(ROOT, name, options.head, merge_base=bool(options.merge_base))
    try:
        found = changed_images(ROOT, revision, options.head)
    except LookupError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    for each in found:
        print(f"{each.image.service}: {each.reason}", file=sys.stderr)
    if not found:
        print("no image changed", file=sys.stderr)
    print(json.dumps([each.image.as_matrix_entry() for each in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
