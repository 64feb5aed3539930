"""What became of the messages of a redrive, in lists, also before the page of the job was opened."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from operations.dead_letters import jobs
from operations.dead_letters.jobs import RedriveJob
from tests.support.dead_letter_pages import asked, ended, group_of, placed
from tests.support.shops.operations import OperationsApp


async def redriven_without_opening_the_job(operations_app: OperationsApp) -> RedriveJob:
    """All dead letters of the first group, as fast as possible."""
    group = await group_of(operations_app)
    fields = await asked(operations_app, group)
    response = await operations_app.send(f"/ops/dead-letters/{group}/redrive", rate="0", **fields)
    return await ended(operations_app, response.headers["location"])


async def test_lists_of_jobs_show_what_was_handled(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    operations_app.dies(placed())
    operations_app.dies(placed())
    await redriven_without_opening_the_job(operations_app)
    await operations_app.quiet()
    page = await operations_app.page("/ops/dead-letters")
    assert "2 sent · 2 handled · 0 failed again · 0 not yet" in page


async def test_lists_of_jobs_show_what_failed_again(operations_app: OperationsApp) -> None:
    operations_app.services.away.add("inventory_svc")  # what it has handled is unknown
    ids = [operations_app.dies(placed()) for _ in range(2)]
    run = await redriven_without_opening_the_job(operations_app)
    page = await operations_app.page("/ops/dead-letters")
    assert "2 sent · 0 handled · 0 failed again · 2 under way · 0 not yet" in page
    operations_app.dies(placed(), message_id=ids[1], at=run.began + timedelta(seconds=1))
    group = await group_of(operations_app)
    line = "2 sent · 0 handled · 1 failed again · 1 under way · 0 not yet"
    page = await operations_app.page("/ops/dead-letters")
    assert page.count(line) == 2, "in its group and among the jobs"
    assert line in await operations_app.page(f"/ops/dead-letters/{group}")


async def test_lists_of_jobs_do_not_wait_for_slow_services(
    operations_app: OperationsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError("it never responds")

    operations_app.services.apps["inventory_svc"] = Silent()
    operations_app.dies(placed())
    await redriven_without_opening_the_job(operations_app)
    monkeypatch.setattr(jobs, "_FOLLOW_UP_S_MAX", 0.05)
    page = await operations_app.page("/ops/dead-letters")
    assert "1 sent · 0 handled · 0 failed again · 1 under way" in page
