"""The job of ci.yml that finds the images to build, run by `act` in a repository of the test's own.

Not run here: the actions that check out the code and install Python, and `make venv`. `gh` is a script that
names the last commit whose run succeeded.
"""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.support.source_files import PACKAGES, ROOT
from tools.images import built_images

ACT = ROOT / ".venv" / "bin" / "act"
JOB = "changes"
RUNNER = "ubuntu-24.04"
COPIED = (".github", ".gitignore", "Dockerfile", "compose.yaml", "pyproject.toml", "tools", *PACKAGES)
NO_ACTION = 'name: nothing\nruns: {using: composite, steps: [{run: "true", shell: bash}]}\n'
_OUTPUT = re.compile(r"set-output:: images=(.*)")
EVERY = {image.service for image in built_images(ROOT)}


@dataclass(frozen=True)
class Repository:
    """A copy of this project with commits of its own, and programs that come first in PATH."""

    root: Path
    programs: Path

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        command = ["git", *identity, *arguments]
        return subprocess.run(
            command, cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, file: str) -> str:
        """Add a line to the file."""
        with (self.root / file).open("a") as opened:
            opened.write("\n")
        self.git("commit", "-q", "-a", "-m", f"change {file}")
        return self.git("rev-parse", "HEAD")

    def program(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    def changed(self, event: str, payload: dict[str, object] | None = None) -> set[str]:
        """The services in the output of the job after this event."""
        described = self.programs / "event.json"
        described.write_text(json.dumps(payload or {}))
        stubs = [
            f"--local-repository={action}={self.programs}"
            for action in sorted(_actions(yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())))
        ]
        done = subprocess.run(
            [ACT, event, "-j", JOB, "-P", f"{RUNNER}=-self-hosted", "-e", described, *stubs],
            cwd=self.root,
            env={
                "PATH": f"{self.programs}:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.programs / "home"),
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        found = _OUTPUT.search(done.stdout)
        assert done.returncode == 0 and found, done.stdout + done.stderr
        return {entry["service"] for entry in json.loads(found[1])}


def _actions(workflow: dict[str, dict[str, dict[str, list[dict[str, str]]]]]) -> set[str]:
    return {step["uses"] for step in workflow["jobs"][JOB]["steps"] if "uses" in step}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "shop", tmp_path / "programs")
    made.root.mkdir()
    made.programs.mkdir()
    (made.programs / "action.yml").write_text(NO_ACTION)
    made.program("make", '[ "$*" = venv ]')
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, made.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, made.root / name)
    made.git("init", "-q", "-b", "main")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "first")
    (made.root / ".venv").symlink_to(ROOT / ".venv")
    return made


def test_a_push_builds_what_changed_since_the_last_successful_run(repository: Repository) -> None:
    succeeded = repository.git("rev-parse", "HEAD")
    repository.commit("payment_svc/provider.py")  # its run failed
    repository.commit("order_svc/README.md")
    repository.program("gh", f'[ "$1 $2" = "run list" ] && echo {succeeded}')
    changed = repository.changed("push")
    assert "payment_svc" in changed and not {"order_svc", "gateway"} & changed


def test_a_push_without_a_successful_run_builds_everything(repository: Repository) -> None:
    repository.program("gh", "echo 'HTTP 503' >&2; exit 1")
    repository.commit("order_svc/README.md")
    assert repository.changed("push") == EVERY


def test_a_pull_request_builds_what_its_commits_change(repository: Repository) -> None:
    repository.git("checkout", "-q", "-b", "branch")
    repository.commit("order_svc/README.md")
    repository.git("checkout", "-q", "main")
    target = repository.commit("chassis/runtime.py")
    repository.git("checkout", "-q", "branch")
    repository.program("gh", "exit 1")
    assert repository.changed("pull_request", {"pull_request": {"base": {"sha": target}}}) == set()
