"""Addresses from the environment: complete, or rejected with the name of the missing variable."""

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra import environment
from journey.devenv.infra.model import Infrastructure, masked

COMPLETE = {
    "RABBITMQ_URL": "amqp://operator:secret@broker:5672/%2F",
    "RABBITMQ_MANAGEMENT_URL": "http://operator:secret@broker:15672/",
    "MONGO_URL": "mongodb://db:27017/?replicaSet=rs0",
}


def refused(**changes: str) -> InfrastructureUnavailable:
    with pytest.raises(InfrastructureUnavailable) as caught:
        environment.from_environment(COMPLETE | changes)
    return caught.value


def test_complete_addresses_are_taken_without_the_virtual_host() -> None:
    found = environment.from_environment(COMPLETE)
    assert found.kind == "environment"
    assert found.amqp_url == "amqp://operator:secret@broker:5672"
    assert found.management_url == "http://operator:secret@broker:15672"
    assert found.smtp_url == found.mailbox_url == ""


@pytest.mark.parametrize("missing", COMPLETE)
def test_a_missing_variable_is_named_alone(missing: str) -> None:
    reason = refused(**{missing: ""}).reason
    assert reason.startswith(f"{missing} not set; given: ")
    assert missing not in reason.partition(";")[2]


def test_mail_needs_both_of_its_addresses_or_none() -> None:
    assert "MAILBOX_URL not set" in refused(SMTP_URL="smtp://mail:1025").reason
    assert "SMTP_URL not set" in refused(MAILBOX_URL="http://mail:8025").reason


def test_half_of_the_addresses_means_that_the_environment_was_meant() -> None:
    assert environment.names_any({"MONGO_URL": "mongodb://db"})
    assert not environment.names_any({"MONGO_URL": "", "SMTP_URL": "smtp://mail"})


def test_a_wrong_address_is_rejected_without_showing_its_password() -> None:
    error = refused(RABBITMQ_URL="http://operator:secret@broker")
    assert "RABBITMQ_URL" in error.reason
    assert "amqp://" in error.remedy
    assert "secret" not in str(error)


def test_a_virtual_host_of_its_own_is_refused() -> None:
    assert "virtual host shop" in refused(RABBITMQ_URL="amqp://u:p@broker/shop").reason


def test_switching_certificate_checks_off_is_refused() -> None:
    assert "certificate" in refused(RABBITMQ_URL="amqps://u:p@broker?no_verify_ssl=1").reason


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    assert environment.forced_kind({}) is None
    assert environment.forced_kind({"JOURNEY_INFRA": "docker"}) == "docker"
    with pytest.raises(InfrastructureUnavailable, match="environment, docker, local, memory"):
        environment.forced_kind({"JOURNEY_INFRA": "cloud"})


def test_passwords_are_neither_in_repr_nor_in_output() -> None:
    found = environment.from_environment(COMPLETE)
    assert "secret" not in repr(found)
    assert "secret" not in found.said
    assert masked(found.amqp_url) == "amqp://operator:***@broker:5672"
    assert masked(found.mongo_url) == found.mongo_url


def test_written_infrastructure_is_read_back() -> None:
    found = environment.from_environment(COMPLETE)
    assert Infrastructure.from_json(found.to_json()) == found


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "local"}'])
def test_a_damaged_state_is_an_error_of_its_own(text: str) -> None:
    with pytest.raises(ValueError):
        Infrastructure.from_json(text)


async def test_unreachable_addresses_are_rejected_by_name() -> None:
    guest = environment.from_environment(
        {
            "RABBITMQ_URL": "amqp://operator:secret@127.0.0.1:1",
            "RABBITMQ_MANAGEMENT_URL": "http://operator:secret@127.0.0.1:1",
            "MONGO_URL": "mongodb://127.0.0.1:1/?directConnection=true",
        }
    )
    with pytest.raises(InfrastructureUnavailable, match=r"RABBITMQ_URL .* no broker responds") as caught:
        await environment.require_responses(guest)
    assert "secret" not in str(caught.value)
