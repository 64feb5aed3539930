"""Which writes the simulated database may roll back, and which not."""

import asyncio

from chassis.store.protocol import Change, Loaded, StoreUnavailable
from tests.simulation import virtual_time
from tests.simulation.fake_database import ROLLED_BACK_AFTER_S, Disk


def change(loaded: Loaded, state: str) -> Change:
    return Change(loaded, {"state": state})


async def two_at_once(loser: Loaded, winner: Loaded) -> tuple[Disk, list[object]]:
    """A write that will be rolled back and a concurrent one; returns after the rollback."""
    disk = Disk()
    await disk.start({"orders": ()})
    assert await disk.save([change(Loaded("orders", "o1"), "placed")])
    doubted = disk.save_in_doubt([change(loser, "lost")], together=False)
    outcomes = await asyncio.gather(doubted, disk.save([change(winner, "kept")]), return_exceptions=True)
    await asyncio.sleep(2 * ROLLED_BACK_AFTER_S)
    return disk, list(outcomes)


def test_a_concurrently_confirmed_write_is_kept() -> None:
    old, new = Loaded("orders", "o1"), Loaded("orders", "o1", version=1)
    disk, outcomes = virtual_time.play(two_at_once(loser=old, winner=new))
    assert outcomes == [None, True]
    assert disk.everything() == {"orders": {"o1": {"state": "kept"}}}


def test_an_uncertain_write_leaves_no_primary() -> None:
    new = Loaded("orders", "o1", version=1)
    disk, outcomes = virtual_time.play(two_at_once(loser=new, winner=new))
    assert isinstance(outcomes[1], StoreUnavailable)
    assert disk.everything() == {"orders": {"o1": {"state": "placed"}}}
