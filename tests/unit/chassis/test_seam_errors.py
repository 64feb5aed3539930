"""An error at a seam of the framework names the file and the line to write, or the right that is missing."""

import subprocess
import sys
from dataclasses import replace
from uuid import UUID

import pytest

from chassis.bus.aiormq_frames.broker_errors import missing_right
from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.bus.protocol import AccessRefused
from chassis.core.definition import RelatedAggregates
from journey.admin.errors import failure_of
from journey.admin.registry import shop_topology
from journey.client import remedy_for
from tests.support.dead_letter_messages import sent
from tests.support.messages import PLACED
from tests.support.source_files import ROOT


def test_a_related_aggregate_without_empty_state_names_the_missing_line() -> None:
    def start(key: str) -> UUID:
        return UUID(key)

    with pytest.raises(TypeError, match=r"shelves: start\(\"\"\) raised ValueError") as error:
        RelatedAggregates("shelves", start=start, keys=lambda *_: ())
    line = start.__code__.co_firstlineno
    assert f"tests/unit/chassis/test_seam_errors.py:{line}" in str(error.value)
    assert "return an empty state for every key" in str(error.value)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (
            "ACCESS_REFUSED - write access to topic 'order.placed.v1' in exchange 'events' "
            "in vhost 'journey' refused for user 'client.scale'",
            "user 'client.scale' lacks the right to write to topic 'order.placed.v1' in exchange 'events'",
        ),
        (
            "ACCESS_REFUSED - read access to queue 'order_svc.events' "
            "in vhost '/' refused for user 'gift_svc'",
            "user 'gift_svc' lacks the right to read from queue 'order_svc.events'",
        ),
        (
            "ACCESS_REFUSED - access to exchange 'events' in vhost '/' refused for user 'gift_svc'",
            "user 'gift_svc' lacks the right to write to exchange 'events'",
        ),
        (
            "ACCESS_REFUSED - configure access to queue 'x' in vhost '/' refused for user 'gift_svc'",
            "user 'gift_svc' lacks the right to configure queue 'x'",
        ),
        ("NOT_FOUND - no exchange 'events' in vhost '/'", ""),
        ("", ""),
    ],
)
def test_an_access_error_of_the_broker_names_the_missing_right(text: str, right: str) -> None:
    assert missing_right(text, "write") == right


async def test_the_broker_in_memory_names_the_missing_right() -> None:
    bus = MemoryBus(MemoryBroker(shop_topology()), "payment_svc")
    [refused] = await bus.publish([replace(sent(PLACED), user_id=None)])
    assert isinstance(refused, AccessRefused)
    assert (
        "user 'payment_svc' lacks the right to write to topic 'order.placed.v1' in exchange 'events'"
        in str(refused)
    )


def test_operators_and_clients_read_how_to_give_the_right() -> None:
    client = AccessRefused("user 'client.scale' lacks the right to write to topic 'order.place.v1'")
    service = AccessRefused("user 'gift_svc' lacks the right to write to topic 'order.place.v1'")
    for helps in (str(failure_of(client, None)), remedy_for(client)):
        assert "`journey client add" in helps and "topology apply" not in helps
    helps = str(failure_of(service, None))
    assert "lacks the right" in helps and "asked_by" in helps and "contracts/" in helps


def test_without_the_extra_the_command_names_what_to_install() -> None:
    program = "import sys; sys.modules['typer'] = None; from journey.cli.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "typer" in ended.stderr and 'pip install "order-journey[cli]"' in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_missing_module_of_ours_is_no_missing_extra() -> None:
    program = (
        "import sys; sys.modules['contracts.orders'] = None; from journey.cli.__main__ import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert "ModuleNotFoundError" in ended.stderr and "order-journey[cli]" not in ended.stderr
