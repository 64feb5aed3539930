"""The exit codes of `plan | apply`, and what is wrong with the environment of these programs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from journey.admin.broker.__main__ import target_from as broker_target
from journey.admin.broker.topology_file import stored_topology
from journey.admin.database.target import target_from as database_target
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.plan_or_apply import plan_or_apply


class FakeTarget:
    def __init__(self, differences: list[str], error: Exception | None = None) -> None:
        self._differences = differences
        self._error = error

    async def apply(self) -> None:
        if self._error is not None:
            raise self._error

    async def plan(self) -> list[str]:
        await self.apply()
        return self._differences


@pytest.mark.parametrize(
    ("target", "code", "shown"),
    [
        (FakeTarget([]), 0, ""),
        (FakeTarget(["a user is missing"]), 1, "a user is missing\n"),
        (FakeTarget(["x"], InfrastructureUnavailable("no server", "start it")), 2, ""),
        (FakeTarget(["x"], ZeroDivisionError("a mistake")), 70, ""),
    ],
    ids=["no difference", "a difference", "no server", "a traceback"],
)
def test_the_exit_code_distinguishes_differences_from_failures(
    target: FakeTarget, code: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan_or_apply(["plan"], lambda: target, usage="") == code
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("act", ["plan", "apply"])
def test_an_unexpected_error_is_printed(act: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan_or_apply([act], lambda: FakeTarget([], ValueError("a mistake")), usage="") == 70
    assert "Traceback" in (errors := capsys.readouterr().err) and "ValueError: a mistake" in errors


DATABASE = ("MONGO_ADMIN_URL", "MONGO_ADMIN_PASSWORD_FILE", database_target)
BROKER = ("RABBITMQ_MANAGEMENT_URL", "RABBITMQ_ADMIN_PASSWORD_FILE", broker_target)


@pytest.mark.parametrize(
    ("program", "url", "reason", "remedy"),
    [
        (DATABASE, "http://admin:secret@mongo", "must begin with mongodb://", "to mongodb://admin@host"),
        (DATABASE, "mongodb://mongo/?x=a@b", "names no user", "before the host: admin@host"),
        (DATABASE, "mongodb://admin@mongo", "has no password", "set MONGO_ADMIN_PASSWORD_FILE"),
        (DATABASE, "mongodb://admin:secret@mongo:port", "is not valid: Port ", "correct it"),
        (DATABASE, "mongodb://admin:secret@mongo/?tls=perhaps", "is not valid: ", "correct it"),
        (BROKER, "amqp://operator:secret@broker", "must begin with http://", "to http://admin@host"),
        (BROKER, "http://broker:15672", "names no user", "before the host: admin@host"),
        (BROKER, "http://operator@broker", "has no password", "set RABBITMQ_ADMIN_PASSWORD_FILE"),
    ],
)
def test_an_unfit_url_of_the_administrator_is_explained(
    program: tuple[str, str, Callable[..., object]], url: str, reason: str, remedy: str, tmp_path: Path
) -> None:
    variable, _, target_from = program
    with pytest.raises(InfrastructureUnavailable, match=f"{variable} .*{reason}") as refused:
        target_from({variable: url, "CREDENTIALS_DIR": str(tmp_path)})
    assert remedy in refused.value.remedy
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("program", [DATABASE, BROKER], ids=["database", "broker"])
@pytest.mark.parametrize(("content", "reason"), [("\n", "holds no password"), (None, "cannot be read")])
def test_an_unfit_password_file_of_the_administrator_is_explained(
    program: tuple[str, str, Callable[..., object]], content: str | None, reason: str, tmp_path: Path
) -> None:
    variable, password_variable, target_from = program
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    scheme = "http" if program is BROKER else "mongodb"
    environ = {variable: f"{scheme}://admin@host", password_variable: str(file)}
    with pytest.raises(InfrastructureUnavailable, match=f"{password_variable}: .*{reason}"):
        target_from({**environ, "CREDENTIALS_DIR": str(tmp_path)})


def test_a_number_of_nodes_that_is_none_is_explained(tmp_path: Path) -> None:
    for user in stored_topology().program_users:
        (tmp_path / user).write_text("a password")
    environ = {"RABBITMQ_MANAGEMENT_URL": "http://operator:secret@broker", "CREDENTIALS_DIR": str(tmp_path)}
    with pytest.raises(InfrastructureUnavailable, match="BROKER_NODES is not a number"):
        broker_target({**environ, "BROKER_NODES": "three"})
