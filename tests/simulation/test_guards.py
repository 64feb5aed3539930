"""Every guard is needed: without it a single fault or a busy day breaks an invariant."""

import re
import sys
from collections.abc import Iterator

import pytest

from chassis import telemetry
from chassis.messaging.message import Command, Sender
from contracts import inventory, orders, payments, products, users
from contracts.catalog import CATALOG
from tests.simulation.exhaustive import faults
from tests.simulation.faults import Listed, Seeded
from tests.simulation.guards import GUARDS, Guard
from tests.simulation.run import Run, play, play_day

pytestmark = pytest.mark.timeout(600)

# The guard that makes a command count once, however often a person sends it under other message ids.
REPEATED_COMMANDS: dict[type[Command], str] = {
    orders.PlaceOrder: "an order is placed once",
    orders.CancelOrder: "an order is cancelled once",
    orders.CancelAsStaff: "an order is cancelled by staff once",
    orders.DispatchOrder: "an order is dispatched once",
    orders.RecordTracking: "a tracking reference is recorded once",
    orders.RefundOrder: "one refund for each refund id",
    payments.RetryPayment: "a request is repeated only if it failed",
    payments.SettlePayment: "a settlement counts once",
    inventory.ReceiveStock: "a receipt is counted once",
    inventory.CorrectStock: "a correction is counted once",
}
# They set a value, so a repetition can do no more than set it once more.
SETTING_COMMANDS: frozenset[type[Command]] = frozenset(
    {
        products.ListProduct,
        products.ChangePrice,
        products.WithdrawProduct,
        users.GrantRole,
        users.RevokeRole,
    }
)
# The rarest collision, that of a guard in the middle of a load, is in one day of about 250.
DAYS, STEPS = 1_500, 15
# Of a replacement that does not fit what it replaces. Any fault would be noticed then.
_OWN_ERROR = re.compile(r"\b(TypeError|AttributeError|NameError|KeyError|IndexError)\b")


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_the_simulation_notices_a_missing_guard(guard: Guard, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("critical", pretty=False)
    known = {name: faults(name) for name in guard.scenarios}
    played = 0
    with guard.off():
        for what, run in _runs(guard, known):
            played += 1
            if run.broken:
                assert not _OWN_ERROR.search(run.broken), f"the replacement itself fails: {run.broken}"
                with capsys.disabled():
                    print(
                        f"\n  without {guard.name}: noticed by run {played}, {what}: {run.broken[:100]}",
                        file=sys.stderr,
                    )
                return
    pytest.fail(f"{played} runs without {guard.name}, and every invariant holds")


def test_each_command_of_people_names_its_guard_against_repetition() -> None:
    """A new command is played twice, or needs no guard: add it to one of the lists above."""
    commands = {each for each in CATALOG.values() if issubclass(each, Command)}
    of_people = {each for each in commands if each.SENDER in (Sender.CLIENT, Sender.STAFF)}
    assert of_people == REPEATED_COMMANDS.keys() | SETTING_COMMANDS
    assert set(REPEATED_COMMANDS.values()) <= {guard.name for guard in GUARDS}


def _runs(guard: Guard, known: dict[str, list]) -> Iterator[tuple[str, Run]]:  # type: ignore[type-arg]
    for name, each in known.items():
        yield name, play(name, Listed())
        for fault in each:
            yield f"{name}, {fault}", play(name, Listed([fault]))
    if guard.days:
        for seed in range(DAYS):
            yield f"seed {seed}", play_day(seed, STEPS, Seeded(seed))
