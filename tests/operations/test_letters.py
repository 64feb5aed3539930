"""Dead letters on the pages: grouped, looked at, sent back, dropped for a reason; each act once, and audited."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from contracts.identity import new_id
from contracts.orders import OrderPlaced
from contracts.roles import Role
from journey.dead_letters import letter_of
from journey.settling import REDRIVE
from operations.letters import grouped
from operations.runs import Run, State, again
from tests.examples import CONFIRMED, PLACED
from tests.operations.desks import DeskInMemory, hidden, token
from tests.until import until

NOW = datetime.now(UTC)
TRICK = '"><img src=x onerror=alert(1)>{{7*7}}\u202e'


def placed() -> OrderPlaced:
    return PLACED.model_copy(update={"order_id": new_id()})


async def group_of(desk: DeskInMemory, index: int = 0) -> str:
    return (await desk.desk.letters.look(anew=True)).groups[index].id


async def asked(desk: DeskInMemory, group: str, action: str = "redrive", id: str = "") -> dict[str, str]:
    """The fields of the confirmation page."""
    return hidden(await desk.page(f"/ops/dead-letters/{group}/{action}" + (f"?id={id}" if id else "")))


async def ended(desk: DeskInMemory, location: str) -> Run:
    run = desk.desk.runs.of(location.rpartition("/")[2])
    assert run is not None
    await until(lambda: run.state is not State.RUNNING)
    return run


async def test_a_group_is_a_service_an_error_type_and_a_message_type(desk: DeskInMemory) -> None:
    for number in range(3):
        desk.dies(placed(), error=KeyError(f"no shelf {number}"), at=NOW - timedelta(minutes=number))
    desk.dies(placed(), error=ValueError("no shelf 1"))
    desk.dies(placed(), "payment_svc")
    letters = (await desk.broker.letters(["inventory_svc", "payment_svc"])).letters
    groups = grouped(letters)
    assert [(group.service, group.error_type, len(group.letters)) for group in groups] == [
        ("inventory_svc", "KeyError", 3),
        ("inventory_svc", "ValueError", 1),
        ("payment_svc", "KeyError", 1),
    ]
    assert groups[0].first == NOW - timedelta(minutes=2) and groups[0].last == NOW
    assert groups[0].sample == "KeyError: 'no shelf 0'", "the newest"
    assert groups[0].id == grouped(letters[::-1])[0].id, "it stays the same group"
    page = await desk.page("/ops/dead-letters")
    assert "<strong>3</strong> letters" in page and "inventory_svc.events" in page


async def test_a_redrive_takes_those_that_had_died_and_no_newcomers(desk: DeskInMemory) -> None:
    await desk.stocked()
    old = [desk.dies(placed()) for _ in range(3)]
    group = await group_of(desk)
    fields = await asked(desk, group)
    new = desk.dies(placed(), at=datetime.now(UTC) + timedelta(seconds=1))
    answer = await desk.send(f"/ops/dead-letters/{group}/redrive", rate="0", **fields)
    run = await ended(desk, answer.headers["location"])
    assert [letter.id for letter in run.letters] == old and (run.gone, run.waiting) == (3, 0)
    assert [letter.id for letter in (await desk.broker.letters(["inventory_svc"])).letters] == [new]
    assert [(entry.message_id, entry.action, entry.by) for entry in desk.broker.entries[-3:]] == [
        (id_, REDRIVE, run.by) for id_ in old
    ]
    await desk.quiet()
    page = await desk.page(answer.headers["location"])
    assert "of these handled</dt><dd>3<" in page, page
    assert await desk.page("/ops/audit")


async def test_pressed_twice_it_is_one_redrive_and_both_see_it(desk: DeskInMemory) -> None:
    desk.dies(placed())
    desk.dies(placed())
    group = await group_of(desk)
    mine, yours = await asked(desk, group), await asked(desk, group)
    assert mine["run"] != yours["run"]
    desk.broker.hurdle.clear()
    path = f"/ops/dead-letters/{group}/redrive"
    answers = await asyncio.gather(*(desk.send(path, rate="0", **fields) for fields in (mine, mine, yours)))
    assert {answer.headers["location"] for answer in answers} == {f"/ops/redrives/{mine['run']}"}
    running = await desk.http.get(path)
    assert running.headers["location"] == f"/ops/redrives/{mine['run']}", "nobody is asked again while it runs"
    assert "<strong>Running</strong>" in await desk.page(f"/ops/redrives/{mine['run']}")
    desk.broker.hurdle.set()
    await ended(desk, answers[0].headers["location"])
    after = await desk.send(path, rate="0", **mine)
    assert after.headers["location"] == f"/ops/redrives/{mine['run']}", "also when it is done"
    assert len([entry for entry in desk.broker.entries if entry.action == REDRIVE]) == 2


async def test_while_letters_are_on_the_move_nobody_else_takes_them_to_look(desk: DeskInMemory) -> None:
    desk.dies(placed())
    group = await group_of(desk)
    desk.broker.hurdle.clear()
    answer = await desk.send(f"/ops/dead-letters/{group}/redrive", rate="0", **await asked(desk, group))
    await until(lambda: desk.desk.letters._busy["inventory_svc"] > 0)
    looked: list[str] = []
    letters, reading = desk.broker.letters, desk.desk.letters

    async def noting(services):  # type: ignore[no-untyped-def]
        looked.extend(services)
        return await letters(services)

    desk.broker.letters = noting  # type: ignore[method-assign]
    look = await reading.look(anew=True)
    assert "inventory_svc" not in looked and "order_svc" in looked
    assert look.group(group) is not None, "what was there is shown meanwhile"
    desk.broker.hurdle.set()
    await ended(desk, answer.headers["location"])
    assert (await reading.look()).group(group) is None


async def test_the_rest_can_be_stopped_and_stays(desk: DeskInMemory) -> None:
    desk.dies(placed())
    group = await group_of(desk)
    desk.broker.hurdle.clear()
    answer = await desk.send(f"/ops/dead-letters/{group}/redrive", rate="1", **await asked(desk, group))
    await until(lambda: desk.desk.letters._busy["inventory_svc"] > 0)
    await desk.send(answer.headers["location"] + "/cancellation")
    run = await ended(desk, answer.headers["location"])
    assert run.state is State.STOPPED and len((await desk.broker.letters(["inventory_svc"])).letters) == 1
    assert "<strong>Stopped</strong>" in await desk.page(answer.headers["location"])


async def test_a_redrive_that_breaks_off_says_how_far_it_came(desk: DeskInMemory) -> None:
    desk.dies(placed())
    group = await group_of(desk)
    fields = await asked(desk, group)
    desk.broker.hurdle.clear()
    answer = await desk.send(f"/ops/dead-letters/{group}/redrive", rate="0", **fields)
    desk.broker.away = True
    desk.broker.hurdle.set()
    run = await ended(desk, answer.headers["location"])
    assert run.state is State.BROKEN_OFF
    page = await desk.page(answer.headers["location"])
    assert "does not answer" in page and "No letter is lost" in page


async def test_one_letter_goes_alone(desk: DeskInMemory) -> None:
    first, second = desk.dies(placed()), desk.dies(placed())
    group = await group_of(desk)
    answer = await desk.send(f"/ops/dead-letters/{group}/redrive", rate="0", **await asked(desk, group, id=second))
    await ended(desk, answer.headers["location"])
    assert [letter.id for letter in (await desk.broker.letters(["inventory_svc"])).letters] == [first]


async def test_what_may_not_go_back_is_told_why_and_stays(desk: DeskInMemory) -> None:
    desk.dies(placed(), body=b"{broken")
    group = await group_of(desk)
    page = await desk.page(f"/ops/dead-letters/{group}/redrive")
    assert "None of these letters may be redriven" in page and "refused again" in page
    fields = {"run": str(new_id()), "cutoff": datetime.now(UTC).isoformat(), "rate": "0"}
    await desk.send(f"/ops/dead-letters/{group}/redrive", 409, **fields)


async def test_a_drop_asks_for_a_reason_and_keeps_it(desk: DeskInMemory) -> None:
    desk.dies(placed())
    group = await group_of(desk)
    fields = await asked(desk, group, "drop")
    wrong = await desk.send(f"/ops/dead-letters/{group}/drop", 422, reason="  ", **fields)
    assert '<a href="#reason">' in wrong.text and fields["run"] in wrong.text
    assert len((await desk.broker.letters(["inventory_svc"])).letters) == 1
    answer = await desk.send(f"/ops/dead-letters/{group}/drop", reason="paid by hand", **fields)
    await ended(desk, answer.headers["location"])
    assert (await desk.broker.letters(["inventory_svc"])).letters == []
    assert desk.broker.entries[-1].reason == "paid by hand"
    assert "paid by hand" in await desk.page("/ops/audit")


async def test_what_a_letter_carries_is_text_and_nothing_else(desk: DeskInMemory) -> None:
    """Markup in the payload, the error, the ids and the type; a template; a turn of the writing direction."""
    id_ = desk.dies(
        CONFIRMED,
        "notification_svc",
        ValueError(TRICK),
        body=f'{{"order_id": "{TRICK}"}}'.encode(),
        message_id=TRICK,
        correlation_id=TRICK,
        app_id=TRICK,
    )
    assert id_ == TRICK
    group = await group_of(desk)
    letters = (await desk.broker.letters(["notification_svc"])).letters
    path = "/ops/dead-letters/" + group + "/letter?" + urlencode({"id": id_})
    for page in (
        await desk.page("/ops/dead-letters"),
        await desk.page(f"/ops/dead-letters/{group}"),
        await desk.page(path),
        await desk.page(f"/ops/dead-letters/{group}/redrive"),
        await desk.page(f"/ops/dead-letters/{group}/drop"),
        await desk.page("/ops/stuck"),
    ):
        assert "<img src=x" not in page
        assert "\u202e" not in page
    assert "{{7*7}}" in await desk.page(path), "a template is not a template once it is data"
    assert letters[0].id == TRICK


async def test_a_letter_that_died_again_is_known_by_when_it_died(desk: DeskInMemory) -> None:
    desk.dies(placed())
    [parcel] = desk.memory.dead("inventory_svc")
    letter = letter_of("inventory_svc", parcel)
    began = datetime.now(UTC)
    run = Run("1", REDRIVE, "g", "t", "ada", "", 0, began, began, (letter,))
    assert again(run, [letter]) == 0, "it is still the old one"
    assert again(run, [replace(letter, died_at=began + timedelta(minutes=1))]) == 1
    assert again(run, [replace(letter, died_at=began + timedelta(minutes=1), service="payment_svc")]) == 0


async def test_the_acts_name_who_did_them(desk: DeskInMemory) -> None:
    somebody = new_id()
    desk.dies(placed())
    group = await group_of(desk)
    fields = await asked(desk, group)
    async with desk.client(Authorization=f"Bearer {token(Role.STAFF, user_id=somebody)}") as other:
        answer = await other.post(f"/ops/dead-letters/{group}/redrive", data={"rate": "0", **fields})
    await ended(desk, answer.headers["location"])
    assert desk.broker.entries[-1].by == str(somebody)


async def test_the_page_says_how_many_letters_it_has_not_read(desk: DeskInMemory) -> None:
    desk.dies(placed())
    desk.broker.unread = {"inventory_svc.dead": 12_345}
    assert "12,345 in inventory_svc.dead lie behind them" in await desk.page("/ops/dead-letters")
    assert "12,345 in inventory_svc.dead" in await desk.page(f"/ops/dead-letters/{await group_of(desk)}")
    assert "12,345 dead letters in inventory_svc.dead were not read" in await desk.page("/ops/stuck")
    desk.broker.unread = {}
    await desk.desk.letters.look(anew=True)
    assert "Only the oldest are shown" not in await desk.page("/ops/dead-letters")


async def test_pages_do_not_wait_for_a_broker_that_is_slow_to_give_its_letters(desk: DeskInMemory) -> None:
    desk.dies(placed())
    reading = desk.desk.letters
    letters, goes_on = desk.broker.letters, asyncio.Event()

    async def slow(services):  # type: ignore[no-untyped-def]
        await goes_on.wait()
        return await letters(services)

    desk.broker.letters = slow  # type: ignore[method-assign]
    reading.first_s = 0.05
    assert "look again in a moment" in await desk.page("/ops/dead-letters")
    assert "There may be more" in await desk.page("/ops/stuck")
    goes_on.set()
    assert "OrderPlaced" in await desk.until_page("/ops/dead-letters", "OrderPlaced")
