"""Every broker user × every message type × every route: consumers accept only what the table permits."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.protocol import Delivery
from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.retry_ladder import RetryLadder
from chassis.bus.topology import build
from chassis.bus.topology_model import Topology
from chassis.messaging.envelope import Forged, Malformed, WireMessage, parse
from chassis.messaging.senders import OPERATOR
from contracts.catalog import CATALOG, NAMES
from journey.admin.broker.client_users import ClientUser, permitted
from journey.admin.dead_letters.dead_letter import dead_letter_of
from journey.admin.event_log import journal
from tests.integration.services.message_routes import (
    SERVICES,
    TYPES,
    WAYS,
    Case,
    cases,
    rightful,
    rightful_in_the_journal,
)
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX

LADDER = RetryLadder().names

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

NARROW = ClientUser("narrow", permitted("place"))
_CHANNELS = 4
_AT_ONCE = 0.0001  # delays of the retry ladder, which do not matter here


@pytest.fixture
def topology() -> Topology:
    """Of all services, with a client program that may only place orders."""
    made = build(SERVICES.values(), _AT_ONCE)
    return replace(made, users=(*made.users, NARROW.rights()))


class Observed:
    """Messages that the broker rejected, and messages that their consumers would accept."""

    def __init__(self) -> None:
        self.refused: set[Case] = set()
        self.believed: set[Case] = set()
        self.forged: set[Case] = set()
        self.sentinels: Counter[str] = Counter()


async def play(url: str, played: Sequence[Case], observed: Observed) -> None:
    """Publish them one by one: a rejection closes the channel for everything on it."""
    connection = aiormq_connection.Connection(url, "matrix", 20)
    waiting = list(reversed(played))

    async def one_channel() -> None:
        channel = await connection.channel()
        while waiting:
            case = waiting.pop()
            [error] = await aiormq_connection.publish(
                channel, [case.wire_message()], case.user_id or "", limit_s=WAIT_S_MAX
            )
            if error is not None:
                observed.refused.add(case)
            if channel.is_closed:
                channel = await connection.channel()

    await asyncio.gather(*(one_channel() for _ in range(_CHANNELS)))
    await connection.close()


def judged(wire_message: WireMessage, reader: str) -> bool:
    """Whether a consumer accepts the message's origin. The bodies are empty, so all are malformed."""
    try:
        parse(wire_message, CATALOG, reader=reader)
    except Forged:
        return False
    except Malformed as error:
        assert "unknown message type" not in str(error)
    return True


@pytest.mark.every_service
async def test_only_messages_on_permitted_routes_are_accepted(vhost: VirtualHost) -> None:
    users = tuple(user.name for user in vhost.topology.users)
    matrix = {case.id: case for case in cases(users)}
    assert set(users) == {*SERVICES, NAMES.client, NARROW.user, OPERATOR}
    assert len(matrix) == len(users) * len(TYPES) * len(WAYS) > 10 * 40 * 20
    observed = Observed()
    bus = RabbitBus(vhost.url(OPERATOR))
    await bus.start()

    def seen(wire_message: WireMessage, queue: str) -> None:
        if wire_message.type == "sentinel":
            observed.sentinels[queue] += 1
            return
        reader, kind = queue.split(".")[:2]
        case = matrix[wire_message.message_id or ""]
        believed = case.contract in SERVICES[reader].by_type and judged(wire_message, reader)
        if kind not in ("events", "commands"):  # it holds dead letters
            dead_letter = dead_letter_of(reader, wire_message)
            at_home = case.contract in SERVICES[reader].by_type and dead_letter.origin_queue.startswith(
                f"{reader}."
            )
            believed = at_home and judged(dead_letter.message_at_failure, reader)
        (observed.believed if believed else observed.forged).add(case)

    def take(delivery: Delivery) -> None:
        seen(delivery.wire_message, delivery.queue)
        acks.add(asyncio.ensure_future(delivery.ack()))

    acks: set[asyncio.Future[None]] = set()
    queues = [queue.name for queue in vhost.topology.queues if queue.name.partition(".")[0] in SERVICES]
    for queue in queues:
        await bus.subscribe(queue, 500, take)
    await asyncio.gather(
        *(
            play(vhost.url(user), [case for case in matrix.values() if case.user == user], observed)
            for user in users
        )
    )
    sentinels = [
        WireMessage(exchange, queue, b"", f"{exchange} {queue}", "sentinel", None, None)
        for exchange in ("", *LADDER)
        for queue in queues
    ]
    assert not any(await bus.publish(sentinels))
    await until(
        lambda: all(observed.sentinels[queue] == 1 + len(LADDER) for queue in queues), within_s=WAIT_S_MAX
    )
    await bus.stop()
    recorded = await believed_in_the_journal(vhost, matrix)

    # Since 4.0 a broker also checks the permission for each key in CC and BCC: it rejects what 3.x lets
    # through.
    copied = {case for case in observed.refused if "CC" in case.way}
    assert names(observed.believed) == names({case for case in matrix.values() if rightful(case)} - copied)
    in_journal = {case for case in matrix.values() if rightful_in_the_journal(case)}
    # Streams of 4.0 keep headers that are lists, so readers of the journal reject copies there, too.
    copies = {case for case in in_journal if case.way == "CC of itself"}
    assert names(recorded) in (names(in_journal), names(in_journal - copies))
    assert not observed.believed & observed.refused
    assert len(observed.refused) > len(observed.forged) > len(observed.believed) > len(TYPES)
    plain = {case for case in observed.believed | recorded if case.way == "plain"}
    assert len(plain) == sum(len(CATALOG.sent_by(role)) for role in (*SERVICES, NAMES.client, OPERATOR)) + 1


async def believed_in_the_journal(vhost: VirtualHost, matrix: dict[str, Case]) -> set[Case]:
    """What a backfill would publish: it validates each entry as its service would."""
    entries = journal.read(vhost.url(OPERATOR))
    wire_messages = [entry.wire_message async for entry in entries]
    judging = [(wire_message, matrix[wire_message.message_id or ""]) for wire_message in wire_messages]
    return {case for wire_message, case in judging if judged(wire_message, case.reader)}


def names(found: set[Case]) -> set[str]:
    return {case.id for case in found}
