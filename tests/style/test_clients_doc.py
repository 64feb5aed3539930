"""docs/clients.md shows code that the system tests run, and the limits of the broker."""

import re

import pytest

from chassis.bus.topology import QUEUES_MAX
from chassis.bus.topology_policies import CLIENT_BYTES_MAX, CLIENT_MESSAGES_MAX, CLIENT_UNUSED_MS
from journey.admin.broker.client_users import CHANNELS_MAX, CONNECTIONS_MAX
from journey.devenv.process_shop import ROOT

TEXT = (ROOT / "docs" / "clients.md").read_text()


@pytest.mark.parametrize(
    ("heading", "file"),
    [("In Python with pika", "examples/python_pika/shop.py"), ("In Node", "examples/node/shop.mjs")],
)
def test_the_code_shown_is_that_of_the_example(heading: str, file: str) -> None:
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```\w+\n(.*?)```", section, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert block in (ROOT / file).read_text(), (
            f"docs/clients.md shows code that is not in {file}:\n{block}"
        )


def test_the_documented_limits_are_those_of_the_topology() -> None:
    limits = TEXT.partition("## Limits\n")[2]
    day_ms = 24 * 3_600_000
    for row in (
        f"| connections of a client | {CONNECTIONS_MAX} |",
        f"| channels of a client | {CHANNELS_MAX} |",
        f"| messages in a queue of a client | {CLIENT_MESSAGES_MAX:,}, or {CLIENT_BYTES_MAX // 2**20} MiB;",
        f"| life of an unused queue | {CLIENT_UNUSED_MS // day_ms} day |",
        f"| queues of all clients and the shop | {QUEUES_MAX} in",
    ):
        assert row in limits


def test_the_lock_file_of_the_example_names_no_host() -> None:
    lock = (ROOT / "examples" / "node" / "package-lock.json").read_text()
    assert "integrity" in lock
    assert "://" not in lock
