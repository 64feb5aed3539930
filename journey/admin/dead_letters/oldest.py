"""Reads the oldest dead letters of each queue, limited in number and size; they stay in their queues."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from chassis.bus.aiormq_frames import aiormq_connection
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.reader import connected, dead_queue, queues_of

_DEAD_LETTERS_MAX = 500
_BYTES_MAX = 2 << 20


@dataclass(frozen=True)
class Oldest:
    """The oldest dead letters of all queues.

    `unread`: queue -> number of further dead letters behind them.
    """

    dead_letters: list[DeadLetter] = field(default_factory=list)
    unread: Mapping[str, int] = field(default_factory=dict)


async def oldest(
    amqp_url: str,
    services: Collection[str],
    *,
    dead_letters_max: int = _DEAD_LETTERS_MAX,
    bytes_max: int = _BYTES_MAX,
) -> Oldest:
    """The oldest dead letters of these services, up to so many dead letters and bytes per queue;
    sorted by time of death.
    """
    async with connected(amqp_url) as connection:
        queues = queues_of(services)
        found = await asyncio.gather(
            *(_oldest_of(connection, name, dead_letters_max, bytes_max) for name in queues)
        )
    dead_letters = sorted((dead_letter for some, _ in found for dead_letter in some), key=DeadLetter.sort_key)
    return Oldest(
        dead_letters, {name: unread for name, (_, unread) in zip(queues, found, strict=True) if unread}
    )


async def _oldest_of(
    connection: aiormq_connection.Connection, name: str, dead_letters_max: int, bytes_max: int
) -> tuple[list[DeadLetter], int]:
    dead_letters: list[DeadLetter] = []
    size = 0
    async with dead_queue(connection, name) as queue:
        while held := await queue.take():
            dead_letters.append(held.dead_letter)
            size += _size(held.dead_letter)
            if len(dead_letters) >= dead_letters_max or size >= bytes_max:
                return dead_letters, held.left
    return dead_letters, 0


def _size(dead_letter: DeadLetter) -> int:
    wire_message = dead_letter.wire_message
    return len(wire_message.body) + sum(
        len(name) + len(str(value)) for name, value in wire_message.headers.items()
    )
