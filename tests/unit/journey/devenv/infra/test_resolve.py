"""Which infrastructure is chosen, in which order; and that none in use is replaced or stopped unasked."""

from pathlib import Path

import psutil
import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra import docker, local_rabbit, mongod, ready, resolve
from journey.devenv.infra.model import Infrastructure
from journey.devenv.infra.processes import Processes

VARIABLES = (
    "RABBITMQ_URL",
    "RABBITMQ_MANAGEMENT_URL",
    "MONGO_URL",
    "SMTP_URL",
    "MAILBOX_URL",
    "JOURNEY_INFRA",
)


def quiet(_text: str) -> None:
    pass


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is installed and no variable is set, except by the test."""

    async def not_here(_log: object) -> Path:
        raise InfrastructureUnavailable("no server here", "install one")

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(local_rabbit, "find_or_install", not_here)
    monkeypatch.setattr(mongod, "find_or_download", not_here)


async def test_without_infrastructure_the_reason_and_remedy_are_given(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureUnavailable, match="no server here") as caught:
        await resolve.obtain(tmp_path / "state", log=quiet)
    assert caught.value.remedy == "install one"
    assert Processes(tmp_path / "state").recorded() == []


async def test_tests_try_docker_first_and_report_why_it_failed(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureUnavailable, match=r"no Docker engine responds[^$]*no server here"):
        await resolve.obtain(tmp_path / "state", for_tests=True, log=quiet)


async def test_memory_is_the_last_choice_with_a_real_mailbox(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    try:
        found = await resolve.obtain(state_dir, allow_memory=True, log=quiet)
        assert found.kind == "memory"
        assert "no server here" in found.said
        assert await ready.mailbox_responds(found.mailbox_url)
        again = await resolve.obtain(state_dir, allow_memory=True, log=quiet)
        assert again == found
        assert resolve.recorded_in(state_dir) == found
    finally:
        await resolve.release(state_dir, log=quiet)
    assert resolve.recorded_in(state_dir) is None
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if str(state_dir) in str(each.info["cmdline"])
    ]
    await resolve.release(state_dir, log=quiet)


async def test_memory_is_refused_where_something_real_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_INFRA", "memory")
    with pytest.raises(InfrastructureUnavailable, match="needs a real broker"):
        await resolve.obtain(tmp_path / "state", log=quiet)


async def test_a_configured_kind_that_fails_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_INFRA", "docker")
    with pytest.raises(InfrastructureUnavailable, match="no Docker engine"):
        await resolve.obtain(tmp_path / "state", for_tests=True, allow_memory=True, log=quiet)
    monkeypatch.setenv("JOURNEY_INFRA", "environment")
    with pytest.raises(
        InfrastructureUnavailable, match="RABBITMQ_URL and RABBITMQ_MANAGEMENT_URL and MONGO_URL"
    ):
        await resolve.obtain(tmp_path / "state", allow_memory=True, log=quiet)


async def test_incomplete_addresses_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", "mongodb://127.0.0.1:1")
    with pytest.raises(InfrastructureUnavailable, match="RABBITMQ_URL and RABBITMQ_MANAGEMENT_URL not set"):
        await resolve.obtain(tmp_path / "state", allow_memory=True, log=quiet)


async def test_running_infrastructure_is_not_replaced_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir = tmp_path / "state"
    processes = Processes(state_dir)
    running = processes.start("rabbit", ["/bin/sleep", "60"], log=tmp_path / "log")
    local = Infrastructure(
        "local", "amqp://127.0.0.1:1", "http://127.0.0.1:1", "mongodb://127.0.0.1:1", "", "", ""
    )
    (state_dir / "infrastructure.json").write_text(local.to_json())
    monkeypatch.setenv("MONGO_URL", "mongodb://127.0.0.1:1")
    with pytest.raises(InfrastructureUnavailable, match="local is in use"):
        await resolve.obtain(state_dir, log=quiet)
    assert processes.running("rabbit") == running
    await resolve.release(state_dir, log=quiet)
    assert processes.running("rabbit") is None


async def test_an_image_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_registry(command: list[str], *, timeout_s: float) -> tuple[int, str]:
        assert timeout_s <= docker.PULL_LIMIT_S
        return 1, f"{command[1]}: no such host"

    monkeypatch.setattr(docker, "run", no_registry)
    with pytest.raises(InfrastructureUnavailable, match=r"rabbitmq:9 .*no such host") as caught:
        await docker.require_images(["rabbitmq:9"], quiet)
    assert "RABBITMQ_IMAGE" in caught.value.remedy
