"""Dead letters on the pages: grouped, shown, redriven, dropped with a reason; each action once,
and audited.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from chassis.messaging.identity import new_id
from contracts.roles import Role
from journey.admin.dead_letters.dead_letter import dead_letter_of
from journey.admin.dead_letters.groups import group_dead_letters
from journey.admin.dead_letters.redrive import REDRIVE
from operations.dead_letters.jobs import JobState, RedriveJob, failed_again
from tests.support.dead_letter_pages import asked, ended, group_of, placed
from tests.support.eventually import until
from tests.support.messages import CONFIRMED
from tests.support.shops.operations import OperationsApp, token

NOW = datetime.now(UTC)
TRICK = '"><img src=x onerror=alert(1)>{{7*7}}\u202e'


async def test_dead_letters_are_grouped_by_service_error_and_type(operations_app: OperationsApp) -> None:
    for number in range(3):
        operations_app.dies(
            placed(), error=KeyError(f"no shelf {number}"), at=NOW - timedelta(minutes=number)
        )
    operations_app.dies(placed(), error=ValueError("no shelf 1"))
    operations_app.dies(placed(), "payment_svc")
    dead_letters = (await operations_app.broker.dead_letters(["inventory_svc", "payment_svc"])).dead_letters
    groups = group_dead_letters(dead_letters)
    assert [(group.service, group.error_type, group.count) for group in groups] == [
        ("inventory_svc", "KeyError", 3),
        ("inventory_svc", "ValueError", 1),
        ("payment_svc", "KeyError", 1),
    ]
    assert groups[0].oldest.died_at == NOW - timedelta(minutes=2) and groups[0].newest.died_at == NOW
    assert groups[0].sample == "KeyError: 'no shelf 0'", "the newest"
    assert groups[0].id == group_dead_letters(dead_letters[::-1])[0].id, "the group id is stable"
    page = await operations_app.page("/ops/dead-letters")
    assert "<strong>3</strong> dead letters" in page and "inventory_svc.events" in page


async def test_a_redrive_excludes_dead_letters_that_arrive_later(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    old = [operations_app.dies(placed()) for _ in range(3)]
    group = await group_of(operations_app)
    fields = await asked(operations_app, group)
    new = operations_app.dies(placed(), at=datetime.now(UTC) + timedelta(seconds=1))
    response = await operations_app.send(f"/ops/dead-letters/{group}/redrive", rate="0", **fields)
    run = await ended(operations_app, response.headers["location"])
    assert [dead_letter.id for dead_letter in run.dead_letters] == old and (run.processed, run.remaining) == (
        3,
        0,
    )
    assert [
        dead_letter.id
        for dead_letter in (await operations_app.broker.dead_letters(["inventory_svc"])).dead_letters
    ] == [new]
    assert [(entry.message_id, entry.action, entry.by) for entry in operations_app.broker.entries[-3:]] == [
        (id_, REDRIVE, run.by) for id_ in old
    ]
    await operations_app.quiet()
    page = await operations_app.page(response.headers["location"])
    assert "of these handled</dt><dd>3<" in page, page
    assert await operations_app.page("/ops/audit")


async def test_a_redrive_requested_twice_is_one_job(operations_app: OperationsApp) -> None:
    operations_app.dies(placed())
    operations_app.dies(placed())
    group = await group_of(operations_app)
    mine, yours = await asked(operations_app, group), await asked(operations_app, group)
    assert mine["run"] != yours["run"]
    operations_app.broker.hurdle.clear()
    path = f"/ops/dead-letters/{group}/redrive"
    responses = await asyncio.gather(
        *(operations_app.send(path, rate="0", **fields) for fields in (mine, mine, yours))
    )
    assert {response.headers["location"] for response in responses} == {f"/ops/redrives/{mine['run']}"}
    running = await operations_app.http.get(path)
    assert running.headers["location"] == f"/ops/redrives/{mine['run']}", "no confirmation while it runs"
    assert "<strong>Running</strong>" in await operations_app.page(f"/ops/redrives/{mine['run']}")
    operations_app.broker.hurdle.set()
    await ended(operations_app, responses[0].headers["location"])
    after = await operations_app.send(path, rate="0", **mine)
    assert after.headers["location"] == f"/ops/redrives/{mine['run']}", "also after it is done"
    assert len([entry for entry in operations_app.broker.entries if entry.action == REDRIVE]) == 2


async def test_dead_letters_are_not_read_during_a_redrive(
    operations_app: OperationsApp,
) -> None:
    operations_app.dies(placed())
    group = await group_of(operations_app)
    operations_app.broker.hurdle.clear()
    response = await operations_app.send(
        f"/ops/dead-letters/{group}/redrive", rate="0", **await asked(operations_app, group)
    )
    await until(lambda: operations_app.deps.dead_letters._suspended["inventory_svc"] > 0)
    looked: list[str] = []
    dead_letters, reading = operations_app.broker.dead_letters, operations_app.deps.dead_letters

    async def noting(services):  # type: ignore[no-untyped-def]
        looked.extend(services)
        return await dead_letters(services)

    operations_app.broker.dead_letters = noting  # type: ignore[method-assign]
    look = await reading.snapshot(refresh=True)
    assert "inventory_svc" not in looked and "order_svc" in looked
    assert look.group(group) is not None, "the earlier snapshot is shown while it runs"
    operations_app.broker.hurdle.set()
    await ended(operations_app, response.headers["location"])
    assert (await reading.snapshot()).group(group) is None


async def test_a_stopped_redrive_keeps_the_remaining_dead_letters(operations_app: OperationsApp) -> None:
    operations_app.dies(placed())
    group = await group_of(operations_app)
    operations_app.broker.hurdle.clear()
    response = await operations_app.send(
        f"/ops/dead-letters/{group}/redrive", rate="1", **await asked(operations_app, group)
    )
    await until(lambda: operations_app.deps.dead_letters._suspended["inventory_svc"] > 0)
    await operations_app.send(response.headers["location"] + "/cancellation")
    run = await ended(operations_app, response.headers["location"])
    assert (
        run.state is JobState.STOPPED
        and len((await operations_app.broker.dead_letters(["inventory_svc"])).dead_letters) == 1
    )
    assert "<strong>Stopped</strong>" in await operations_app.page(response.headers["location"])


async def test_an_interrupted_redrive_shows_its_progress(operations_app: OperationsApp) -> None:
    operations_app.dies(placed())
    group = await group_of(operations_app)
    fields = await asked(operations_app, group)
    operations_app.broker.hurdle.clear()
    response = await operations_app.send(f"/ops/dead-letters/{group}/redrive", rate="0", **fields)
    operations_app.broker.away = True
    operations_app.broker.hurdle.set()
    run = await ended(operations_app, response.headers["location"])
    assert run.state is JobState.BROKEN_OFF
    page = await operations_app.page(response.headers["location"])
    assert "does not respond" in page and "No dead letter is lost" in page


async def test_one_dead_letter_can_be_redriven_alone(operations_app: OperationsApp) -> None:
    first, second = operations_app.dies(placed()), operations_app.dies(placed())
    group = await group_of(operations_app)
    response = await operations_app.send(
        f"/ops/dead-letters/{group}/redrive", rate="0", **await asked(operations_app, group, id=second)
    )
    await ended(operations_app, response.headers["location"])
    assert [
        dead_letter.id
        for dead_letter in (await operations_app.broker.dead_letters(["inventory_svc"])).dead_letters
    ] == [first]


async def test_a_dead_letter_that_cannot_be_redriven_shows_why(operations_app: OperationsApp) -> None:
    operations_app.dies(placed(), body=b"{broken")
    group = await group_of(operations_app)
    page = await operations_app.page(f"/ops/dead-letters/{group}/redrive")
    assert "None of these dead letters can be redriven" in page and "rejected again" in page
    fields = {"run": str(new_id()), "cutoff": datetime.now(UTC).isoformat(), "rate": "0"}
    await operations_app.send(f"/ops/dead-letters/{group}/redrive", 409, **fields)


async def test_a_drop_requires_and_records_a_reason(operations_app: OperationsApp) -> None:
    operations_app.dies(placed())
    group = await group_of(operations_app)
    fields = await asked(operations_app, group, "drop")
    wrong = await operations_app.send(f"/ops/dead-letters/{group}/drop", 422, reason="  ", **fields)
    assert '<a href="#reason">' in wrong.text and fields["run"] in wrong.text
    assert len((await operations_app.broker.dead_letters(["inventory_svc"])).dead_letters) == 1
    response = await operations_app.send(f"/ops/dead-letters/{group}/drop", reason="paid by hand", **fields)
    await ended(operations_app, response.headers["location"])
    assert (await operations_app.broker.dead_letters(["inventory_svc"])).dead_letters == []
    assert operations_app.broker.entries[-1].reason == "paid by hand"
    assert "paid by hand" in await operations_app.page("/ops/audit")


async def test_the_content_of_a_dead_letter_is_escaped(operations_app: OperationsApp) -> None:
    """Markup in the payload, the error, the ids and the type; a template;
    a change of the writing direction.
    """
    id_ = operations_app.dies(
        CONFIRMED,
        "notification_svc",
        ValueError(TRICK),
        body=f'{{"order_id": "{TRICK}"}}'.encode(),
        message_id=TRICK,
        correlation_id=TRICK,
        app_id=TRICK,
    )
    assert id_ == TRICK
    group = await group_of(operations_app)
    dead_letters = (await operations_app.broker.dead_letters(["notification_svc"])).dead_letters
    path = "/ops/dead-letters/" + group + "/letter?" + urlencode({"id": id_})
    for page in (
        await operations_app.page("/ops/dead-letters"),
        await operations_app.page(f"/ops/dead-letters/{group}"),
        await operations_app.page(path),
        await operations_app.page(f"/ops/dead-letters/{group}/redrive"),
        await operations_app.page(f"/ops/dead-letters/{group}/drop"),
        await operations_app.page("/ops/stuck"),
    ):
        assert "<img src=x" not in page
        assert "\u202e" not in page
    assert "{{7*7}}" in await operations_app.page(path), "data is not rendered as a template"
    assert dead_letters[0].id == TRICK


async def test_a_repeated_dead_letter_is_identified_by_its_time(operations_app: OperationsApp) -> None:
    operations_app.dies(placed())
    [wire_message] = operations_app.memory.dead("inventory_svc")
    dead_letter = dead_letter_of("inventory_svc", wire_message)
    began = datetime.now(UTC)
    run = RedriveJob("1", REDRIVE, "g", "t", "ada", "", 0, began, began, (dead_letter,))
    assert failed_again(run, [dead_letter]) == 0, "it is still the old one"
    assert failed_again(run, [replace(dead_letter, died_at=began + timedelta(minutes=1))]) == 1
    assert (
        failed_again(run, [replace(dead_letter, died_at=began + timedelta(minutes=1), service="payment_svc")])
        == 0
    )


async def test_audit_entries_name_their_user(operations_app: OperationsApp) -> None:
    actor = new_id()
    operations_app.dies(placed())
    group = await group_of(operations_app)
    fields = await asked(operations_app, group)
    async with operations_app.client(Authorization=f"Bearer {token(Role.STAFF, user_id=actor)}") as other:
        response = await other.post(f"/ops/dead-letters/{group}/redrive", data={"rate": "0", **fields})
    await ended(operations_app, response.headers["location"])
    assert operations_app.broker.entries[-1].by == str(actor)


async def test_the_page_shows_the_number_of_unread_dead_letters(operations_app: OperationsApp) -> None:
    operations_app.dies(placed())
    operations_app.broker.unread = {"inventory_svc.dead": 12_345}
    assert "12,345 in inventory_svc.dead are behind them" in await operations_app.page("/ops/dead-letters")
    assert "12,345 in inventory_svc.dead" in await operations_app.page(
        f"/ops/dead-letters/{await group_of(operations_app)}"
    )
    assert "12,345 dead letters in inventory_svc.dead were not read" in await operations_app.page(
        "/ops/stuck"
    )
    operations_app.broker.unread = {}
    await operations_app.deps.dead_letters.snapshot(refresh=True)
    assert "Only the oldest are shown" not in await operations_app.page("/ops/dead-letters")


async def test_pages_do_not_wait_for_a_slow_broker(
    operations_app: OperationsApp,
) -> None:
    operations_app.dies(placed())
    reading = operations_app.deps.dead_letters
    dead_letters, goes_on = operations_app.broker.dead_letters, asyncio.Event()

    async def slow(services):  # type: ignore[no-untyped-def]
        await goes_on.wait()
        return await dead_letters(services)

    operations_app.broker.dead_letters = slow  # type: ignore[method-assign]
    reading.first_s = 0.05
    assert "refresh in a moment" in await operations_app.page("/ops/dead-letters")
    assert "There may be more" in await operations_app.page("/ops/stuck")
    goes_on.set()
    assert "OrderPlaced" in await operations_app.until_page("/ops/dead-letters", "OrderPlaced")
