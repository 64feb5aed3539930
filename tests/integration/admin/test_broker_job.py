"""`python -m journey.admin.broker`, the Job that applies the topology in Kubernetes, on a real broker."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from journey.admin.broker.__main__ import main
from tests.support.infrastructure import VirtualHost
from tests.support.source_files import ROOT

pytestmark = [pytest.mark.real, pytest.mark.every_service]


@pytest.fixture
def environment(vhost: VirtualHost, tmp_path: Path) -> dict[str, str]:
    """As the Job has it: the administrator in the URL, all passwords in files.

    Users belong to the broker, so the passwords must be those that the other tests use.
    """
    parts = urlsplit(vhost.management_url)
    (tmp_path / "administrator").write_text(unquote(parts.password or ""))
    users = tmp_path / "users"
    users.mkdir()
    for user, password in vhost.passwords.items():
        (users / user).write_text(password)
    return {
        "RABBITMQ_MANAGEMENT_URL": parts._replace(
            netloc=f"{parts.username}@{parts.hostname}:{parts.port}"
        ).geturl(),
        "RABBITMQ_ADMIN_PASSWORD_FILE": str(tmp_path / "administrator"),
        "CREDENTIALS_DIR": str(users),
        "VHOST": vhost.name,
    }


def job(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "journey.admin.broker", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_job_applies_the_topology_and_finds_no_drift_then(environment: dict[str, str]) -> None:
    drifted = job(environment, "plan")  # the virtual host of a test has shorter delays
    assert drifted.returncode == 1 and "policy" in drifted.stdout, drifted
    applied = job(environment, "apply")
    assert applied.returncode == 0, applied.stderr
    agreed = job(environment, "plan")
    assert (agreed.returncode, agreed.stdout) == (0, ""), agreed


def test_the_job_applies_nothing_while_a_node_is_missing(environment: dict[str, str]) -> None:
    early = job(environment | {"BROKER_NODES": "99"}, "apply")
    assert early.returncode == 2 and "of 99 nodes run" in early.stderr, early
    assert job(environment, "plan").returncode == 1


def test_the_job_names_a_refused_password(environment: dict[str, str]) -> None:
    Path(environment["RABBITMQ_ADMIN_PASSWORD_FILE"]).write_text("wrong")
    refused = job(environment, "apply")
    assert refused.returncode == 2 and "is not authorized" in refused.stderr, refused


@pytest.mark.parametrize("missing", ["RABBITMQ_MANAGEMENT_URL", "CREDENTIALS_DIR"])
def test_the_job_names_a_missing_variable(environment: dict[str, str], missing: str) -> None:
    refused = job({name: value for name, value in environment.items() if name != missing}, "plan")
    assert refused.returncode == 2 and f"{missing} not set" in refused.stderr, refused


def test_the_job_names_an_unreadable_file(environment: dict[str, str]) -> None:
    refused = job(environment | {"RABBITMQ_ADMIN_PASSWORD_FILE": "/none"}, "plan")
    assert refused.returncode == 2 and "_ADMIN_PASSWORD_FILE: /none cannot be read" in refused.stderr, refused


def test_the_job_names_a_user_without_a_password(environment: dict[str, str]) -> None:
    Path(environment["CREDENTIALS_DIR"], "order_svc").unlink()
    refused = job(environment, "apply")
    assert refused.returncode == 2 and "order_svc cannot be read" in refused.stderr, refused


def test_an_unknown_argument_prints_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["applied"]) == 2
    assert "plan | apply" in capsys.readouterr().err
