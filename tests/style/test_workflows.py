"""The workflows on GitHub: what actionlint and zizmor do not check."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from journey.devenv.infra import docker
from tests.support.source_files import ROOT, complain
from tools.images import built_images

GITHUB = ROOT / ".github"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (GITHUB / "workflows").glob("*.yml")}
TESTS = WORKFLOWS["ci"]["jobs"]["test"]
_PINNED = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<revision>\S+)(?P<comment>.*)")


def files() -> list[Path]:
    return sorted(path for path in GITHUB.rglob("*") if path.is_file())


def test_no_workflow_names_a_service() -> None:
    complain(
        f"{path.relative_to(ROOT)}:{line}: names {service}; take services from tools/changed_services.py"
        for path in files()
        for line, service in named_services(path.read_text())
    )


def named_services(text: str) -> Iterator[tuple[int, str]]:
    names = "|".join(image.service for image in built_images(ROOT))
    for number, line in enumerate(text.splitlines(), start=1):
        yield from ((number, found[0]) for found in re.finditer(rf"\b(?:{names}|\w+_svc)\b", line))


def test_a_named_service_is_noticed() -> None:
    assert list(named_services("run: make\nfor: [order_svc, loyalty_svc]\n")) == [
        (2, "order_svc"),
        (2, "loyalty_svc"),
    ]


def test_every_job_has_its_limits() -> None:
    jobs = [(name, job, each["jobs"][job]) for name, each in WORKFLOWS.items() for job in each["jobs"]]
    complain(
        f".github/workflows/{name}.yml: {job} has no {key}; GitHub's default is too wide"
        for name, job, settings in jobs
        for key in ("permissions", *(["timeout-minutes"] if "steps" in settings else []))
        if key not in settings
    )


def test_an_action_has_one_revision_and_names_its_version() -> None:
    used = [
        (path, found)
        for path in files()
        for line in path.read_text().splitlines()
        if (found := _PINNED.search(line))
    ]
    revisions: dict[str, set[str]] = {}
    for _, found in used:
        revisions.setdefault(found["action"], set()).add(found["revision"])
    assert used and {len(each) for each in revisions.values()} == {1}, revisions
    complain(
        f"{path.relative_to(ROOT)}: {found['action']} is pinned without its version in a comment"
        for path, found in used
        if not re.fullmatch(r" # v\d+\.\d+\.\d+", found["comment"])
    )


def test_the_tests_run_on_all_supported_servers() -> None:
    matrix = TESTS["strategy"]["matrix"]
    assert matrix == {"rabbitmq": ["3.13", "4"], "mongodb": ["6", "7", "8"]}
    assert TESTS["env"]["JOURNEY_INFRA"] == "docker"


def test_the_matrix_chooses_the_images_of_testcontainers(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, Any] = TESTS["env"]
    for name, value in environment.items():
        monkeypatch.setenv(
            name, value.replace("${{ matrix.rabbitmq }}", "3.13").replace("${{ matrix.mongodb }}", "8")
        )
    assert (docker.rabbitmq_image(), docker.mongo_image()) == ("rabbitmq:3.13-management", "mongo:8")


def test_images_are_published_only_after_all_checks() -> None:
    jobs = WORKFLOWS["ci"]["jobs"]
    checks = {name for name in jobs if name not in ("image", "publish")}
    assert set(jobs["publish"]["needs"]) == checks
    assert jobs["publish"]["if"].startswith("github.event_name == 'push' &&")
