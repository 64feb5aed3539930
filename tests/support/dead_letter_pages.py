"""Dead letters on the pages of operations, for tests: create, confirm and await."""

from chassis.messaging.identity import new_id
from contracts.orders import OrderPlaced
from operations.dead_letters.jobs import JobState, RedriveJob
from tests.support.eventually import until
from tests.support.messages import PLACED
from tests.support.shops.operations import OperationsApp, hidden


def placed() -> OrderPlaced:
    return PLACED.model_copy(update={"order_id": new_id()})


async def group_of(operations_app: OperationsApp, index: int = 0) -> str:
    return (await operations_app.deps.dead_letters.snapshot(refresh=True)).groups[index].id


async def asked(
    operations_app: OperationsApp, group: str, action: str = "redrive", id: str = ""
) -> dict[str, str]:
    """The hidden fields of the confirmation page."""
    return hidden(
        await operations_app.page(f"/ops/dead-letters/{group}/{action}" + (f"?id={id}" if id else ""))
    )


async def ended(operations_app: OperationsApp, location: str) -> RedriveJob:
    run = operations_app.deps.jobs.of(location.rpartition("/")[2])
    assert run is not None
    await until(lambda: run.state is not JobState.RUNNING)
    return run
