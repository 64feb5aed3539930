"""Which images a change concerns, in a small project and in this one."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.source_files import ROOT
from tools.changed_services import Changed, base_revision, changed_by, changed_images, main
from tools.images import built_images
from tools.import_graph import ImportGraph

EVERY = {"tea_svc", "rice_svc", "keeper"}
Git = Callable[..., str]


def services(found: list[Changed]) -> set[str]:
    return {each.image.service for each in found}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("tea_svc/__main__.py", {"tea_svc"}),
        ("kitchen/kettle.py", {"tea_svc"}),
        ("kitchen/stove/flame.py", {"tea_svc"}),  # not imported by the service itself
        ("kitchen/stove/__init__.py", {"tea_svc"}),  # runs, because a module in it is imported
        ("kitchen/pantry/shelf.py", {"tea_svc"}),  # imported by the package of an imported module
        ("kitchen/ledger.py", {"rice_svc", "keeper"}),  # one import is in a function
        ("kitchen/__init__.py", EVERY),
        ("kitchen/health.py", {"tea_svc", "rice_svc"}),
        ("kitchen/unused.py", set()),
        ("kitchen/deleted.py", EVERY),  # the nearest package
        ("kitchen/stove/deleted.py", {"tea_svc"}),
        ("kitchen/stove/colours.json", {"tea_svc"}),
        ("tea_svc/cup.svg", {"tea_svc"}),
        ("tea_svc/pictures/pot.svg", {"tea_svc"}),  # the folder is no package
    ],
)
def test_a_packages_file_changes_images_that_stand_on_it(eatery: Path, file: str, changed: set[str]) -> None:
    assert services(changed_by(eatery, [file])) == changed


@pytest.mark.parametrize(
    "file",
    [
        "Dockerfile",
        ".dockerignore",
        "requirements/services.txt",
        "pyproject.toml",
        "unheard_of.cfg",
        "unheard_of/file.py",
        "tools/changed_services.py",
        ".github/workflows/ci.yml",
    ],
)
def test_build_files_and_unknown_files_change_all_images(eatery: Path, file: str) -> None:
    assert services(changed_by(eatery, ["README.md", file])) == EVERY


def test_the_requirements_of_an_image_change_this_image(eatery: Path) -> None:
    assert services(changed_by(eatery, ["requirements/images/rice_svc.txt"])) == {"rice_svc"}


@pytest.mark.parametrize(
    "file",
    [
        "README.md",
        "tea_svc/README.md",
        "docs/guide.svg",
        "tests/unit/test_tea.py",
        "examples/client.mjs",
        "deploy/rules.yml",
        "requirements/dev.txt",
        "LICENSE",
    ],
)
def test_files_that_no_image_contains_change_none(eatery: Path, file: str) -> None:
    assert changed_by(eatery, [file]) == []


def test_each_changed_image_names_the_file_that_caused_it(eatery: Path) -> None:
    found = changed_by(eatery, ["README.md", "tea_svc/__main__.py", "kitchen/ledger.py"])
    assert [(each.image.service, each.reason) for each in found] == [
        ("tea_svc", "tea_svc/__main__.py"),
        ("rice_svc", "kitchen/ledger.py"),
        ("keeper", "kitchen/ledger.py"),
    ]


@pytest.fixture
def git(eatery: Path) -> Git:
    """Runs git in the project, whose first commit it makes."""

    def run(*arguments: str) -> str:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=eatery, check=True, capture_output=True, text=True).stdout.strip()

    run("init", "-q", "-b", "main")
    run("add", "-A")
    run("commit", "-q", "-m", "first")
    return run


def commit(git: Git, file: Path, text: str) -> str:
    file.write_text(text)
    git("add", "-A")
    git("commit", "-q", "-m", f"change {file.name}")
    return git("rev-parse", "HEAD")


def test_all_commits_since_the_base_count(eatery: Path, git: Git) -> None:
    first = git("rev-parse", "HEAD")
    second = commit(git, eatery / "kitchen/stove/flame.py", "BLUE = 1")
    commit(git, eatery / "README.md", "words")
    assert services(changed_images(eatery, first, "HEAD")) == {"tea_svc"}
    assert services(changed_images(eatery, second, "HEAD")) == set()


def test_a_renamed_file_changes_the_images_of_both_paths(eatery: Path, git: Git) -> None:
    (eatery / "tea_svc/cup.svg").write_text("<svg/>" * 100)
    git("commit", "-aqm", "draw")
    git("mv", "tea_svc/cup.svg", "rice_svc/cup.svg")
    git("commit", "-qm", "move")
    assert services(changed_images(eatery, "HEAD~1", "HEAD")) == {"tea_svc", "rice_svc"}


def test_only_build_settings_of_compose_change_images(eatery: Path, git: Git) -> None:
    text = (eatery / "compose.yaml").read_text()
    commit(git, eatery / "compose.yaml", text.replace("rabbitmq", "rabbitmq:4"))
    assert changed_images(eatery, "HEAD~1", "HEAD") == []
    commit(git, eatery / "compose.yaml", text.replace("python:3", "python:3.13"))
    assert services(changed_images(eatery, "HEAD~1", "HEAD")) == EVERY
    assert {each.reason for each in changed_images(eatery, "HEAD~1", "HEAD")} == {"compose.yaml"}


def test_a_new_compose_file_changes_all_images(eatery: Path, git: Git) -> None:
    text = (eatery / "compose.yaml").read_text()
    git("rm", "-q", "compose.yaml")
    git("commit", "-qm", "without")
    commit(git, eatery / "compose.yaml", text)
    assert services(changed_images(eatery, "HEAD~1", "HEAD")) == EVERY


@pytest.mark.parametrize("name", ["", "0" * 40, "4b825dc642cb6eb9a060e54bf8d69288fbee4905", "no-such-branch"])
def test_without_a_base_in_the_clone_all_images_changed(eatery: Path, git: Git, name: str) -> None:
    base = base_revision(eatery, name, "HEAD", merge_base=False)
    assert base is None
    assert services(changed_images(eatery, base, "HEAD")) == EVERY


def test_a_branch_is_compared_with_its_merge_base(eatery: Path, git: Git) -> None:
    git("checkout", "-q", "-b", "branch")
    commit(git, eatery / "tea_svc/cup.svg", "<svg/>")
    git("checkout", "-q", "main")
    commit(git, eatery / "kitchen/ledger.py", "PAGES = 1")
    git("checkout", "-q", "branch")
    base = base_revision(eatery, "main", "HEAD", merge_base=True)
    assert services(changed_images(eatery, base, "HEAD")) == {"tea_svc"}


def test_commits_removed_by_a_force_push_count(eatery: Path, git: Git) -> None:
    """The published image contains the commit that was pushed away."""
    pushed_away = commit(git, eatery / "tea_svc/cup.svg", "<svg/>")
    git("reset", "-q", "--hard", "HEAD~1")
    base = base_revision(eatery, pushed_away, "HEAD", merge_base=False)
    assert services(changed_images(eatery, base, "HEAD")) == {"tea_svc"}


def test_the_command_prints_a_matrix_of_all_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--all"]) == 0
    matrix = json.loads(capsys.readouterr().out)
    assert [entry["service"] for entry in matrix] == [image.service for image in built_images(ROOT)]
    assert all(entry["image"].endswith(f"/{entry['service']}") for entry in matrix)
    assert all("${" not in value for entry in matrix for value in entry.values())


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "--merge-base" in capsys.readouterr().out


@pytest.mark.parametrize("service", [image.service for image in built_images(ROOT)])
def test_a_program_loads_only_modules_of_the_import_graph(service: str) -> None:
    """Python itself is the oracle: an import that the graph does not see would not rebuild the image."""
    programs = next(image.programs for image in built_images(ROOT) if image.service == service)
    graph = ImportGraph(ROOT)
    main_modules = [f"{name}.__main__" if name in graph.root_packages else name for name in programs]
    load = f"import sys, {', '.join(main_modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", load], cwd=ROOT, capture_output=True, text=True)
    loaded = {name for name in done.stdout.split() if name.partition(".")[0] in graph.root_packages}
    assert set(main_modules) <= loaded, done.stderr
    assert loaded <= graph.stands_on(programs)


@pytest.mark.parametrize(
    ("file", "changed", "unchanged"),
    [
        ("order_svc/decider.py", {"order_svc", "operations"}, {"payment_svc", "gateway"}),
        ("gateway/web/templates/order.html", {"gateway"}, {"order_svc", "operator"}),
        ("journey/cli/app.py", set(), {"gateway", "operations"}),
        ("bench/load.py", set(), {"gateway"}),
    ],
)
def test_files_of_this_project_change_the_expected_images(
    file: str, changed: set[str], unchanged: set[str]
) -> None:
    found = services(changed_by(ROOT, [file]))
    assert changed <= found and not unchanged & found


def test_contracts_and_runtime_change_every_service() -> None:
    for file in ("contracts/values.py", "chassis/runtime.py"):
        found = services(changed_by(ROOT, [file]))
        assert {"order_svc", "inventory_svc", "payment_svc", "gateway"} <= found
