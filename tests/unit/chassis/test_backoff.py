"""Every pause before a retry: it doubles up to a limit, and no two instances pause equally long."""

import asyncio
from itertools import pairwise

import pytest

from chassis.backoff import Backoff
from tests.simulation import virtual_time


def test_pauses_double_up_to_the_limit() -> None:
    backoff = Backoff(0.1, 1.0, jitter=0)
    assert [backoff.next_s() for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_thousands_of_failures_do_not_overflow() -> None:
    backoff = Backoff(0.1, 5.0, jitter=0)
    assert [backoff.next_s() for _ in range(5_000)][-1] == 5.0


def test_after_a_success_the_pauses_start_again() -> None:
    backoff = Backoff(0.1, 5.0, jitter=0)
    before = [backoff.next_s() for _ in range(4)]
    backoff.reset()
    assert [backoff.next_s() for _ in range(4)] == before


@pytest.mark.parametrize("jitter", [0.2, 0.5, 1.0])
def test_pauses_differ_within_their_jitter(jitter: float) -> None:
    pauses = [Backoff(1.0, 1.0, jitter=jitter).next_s() for _ in range(500)]
    assert all(1 - jitter <= pause_s <= 1 + jitter for pause_s in pauses)
    assert max(pauses) - min(pauses) > jitter
    assert all(one != next_ for one, next_ in pairwise(pauses))


def test_pause_sleeps_for_the_next_pause() -> None:
    async def slept() -> list[float]:
        loop, backoff = asyncio.get_running_loop(), Backoff(1.0, 4.0, jitter=0)
        began, ends = loop.time(), []
        for _ in range(4):
            await backoff.pause()
            ends.append(loop.time() - began)
        return ends

    assert virtual_time.play(slept()) == pytest.approx([1.0, 3.0, 7.0, 11.0])
