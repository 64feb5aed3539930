"""Dead letters: what the services gave up, in groups; sending them back, or dropping them for a reason."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from contracts.identity import new_id
from contracts.text import several_lines
from journey.dead_letters import DeadLetter
from journey.redrive import why_not
from journey.settling import DROP, REDRIVE
from operations import forms
from operations.desk import Desk, who
from operations.forms import Form
from operations.letters import Group
from operations.runs import Run
from operations.showing import Showing, message_name

RATES = {"1": "1 a second", "5": "5 a second", "20": "20 a second", "100": "100 a second", "0": "as fast as it goes"}
USUAL_RATE = "20"
_ON_A_PAGE = 50
_ACTS_SHOWN = 200
_JUDGED_AT_ONCE = 8


def routes(desk: Desk, showing: Showing) -> APIRouter:
    router = APIRouter()
    pages = _Pages(desk, showing)
    router.add_api_route("/ops/dead-letters", pages.groups, methods=["GET"])
    router.add_api_route("/ops/dead-letters/{group_id}", pages.group, methods=["GET"])
    router.add_api_route("/ops/dead-letters/{group_id}/letter", pages.letter, methods=["GET"])
    router.add_api_route("/ops/dead-letters/{group_id}/redrive", pages.ask_redrive, methods=["GET"])
    router.add_api_route("/ops/dead-letters/{group_id}/redrive", pages.redrive, methods=["POST"])
    router.add_api_route("/ops/dead-letters/{group_id}/drop", pages.ask_drop, methods=["GET"])
    router.add_api_route("/ops/dead-letters/{group_id}/drop", pages.drop, methods=["POST"])
    router.add_api_route("/ops/audit", pages.audit, methods=["GET"])
    return router


class _Pages:
    def __init__(self, desk: Desk, showing: Showing) -> None:
        self._desk, self._showing = desk, showing

    async def groups(self, request: Request, service: str = "", text: str = "") -> Response:
        look = await self._desk.letters.look()
        groups = [group for group in look.groups if _matches(group, service, text)]
        runs = {group.id: self._desk.runs.latest_of(group.id) for group in groups}
        return self._showing.page(
            request,
            "groups.html",
            look=look,
            groups=groups,
            runs=runs,
            latest=self._desk.runs.latest[:5],
            services=sorted({group.service for group in look.groups}),
            service=service,
            text=text,
        )

    async def group(self, request: Request, group_id: str, after: int = 0) -> Response:
        group = await self._group(group_id)
        return self._showing.page(
            request,
            "group.html",
            group=group,
            more=(await self._desk.letters.look()).more,
            run=self._desk.runs.latest_of(group_id),
            letters=group.letters[after : after + _ON_A_PAGE],
            after=after,
            next=after + _ON_A_PAGE if len(group.letters) > after + _ON_A_PAGE else None,
            before=max(0, after - _ON_A_PAGE) if after else None,
        )

    async def letter(self, request: Request, group_id: str, id: str) -> Response:
        group = await self._group(group_id)
        letter = next((letter for letter in group.letters if letter.id == id), None)
        if letter is None:
            raise HTTPException(
                404, "This letter is not here any more; the audit list tells who redrove or dropped it."
            )
        [(_, why)] = await self._judged([letter])
        return self._showing.page(request, "letter.html", group=group, letter=letter, refusal=why)

    async def ask_redrive(self, request: Request, group_id: str, id: str = "") -> Response:
        if run := self._desk.runs.running(group_id):
            return _to(run)
        group = await self._group(group_id, anew=True)
        return await self._ask(request, REDRIVE, group, id, Form({"rate": USUAL_RATE}))

    async def ask_drop(self, request: Request, group_id: str, id: str = "") -> Response:
        if run := self._desk.runs.running(group_id):
            return _to(run)
        group = await self._group(group_id, anew=True)
        return await self._ask(request, DROP, group, id, Form())

    async def redrive(self, request: Request, group_id: str) -> Response:
        return await self._act(request, REDRIVE, group_id)

    async def drop(self, request: Request, group_id: str) -> Response:
        return await self._act(request, DROP, group_id)

    async def audit(self, request: Request) -> Response:
        entries = await self._desk.broker.acts(_ACTS_SHOWN + 1)
        shown = entries[::-1][:_ACTS_SHOWN]
        return self._showing.page(request, "audit.html", entries=shown, has_more=len(entries) > len(shown))

    async def _ask(self, request: Request, action: str, group: Group, id_: str, form: Form) -> Response:
        """The page that says what would be done. Letters that die after it was shown are not part of it."""
        cutoff = _time(form["cutoff"]) or self._desk.clock()
        judged = await self._judged(_chosen(group, cutoff, id_))
        return self._showing.page(
            request,
            f"{action}.html",
            422 if form.is_wrong else 200,
            group=group,
            going=[letter for letter, why in judged if not why or action == DROP],
            refused=[(letter, why) for letter, why in judged if why and action == REDRIVE],
            id=id_,
            cutoff=cutoff,
            run_id=form["run"] or str(new_id()),
            form=form,
            rates=RATES,
        )

    async def _act(self, request: Request, action: str, group_id: str) -> Response:
        form = await forms.read(request)
        if run := self._desk.runs.of(form["run"]) or self._desk.runs.running(group_id):
            return _to(run)  # pressed twice, or somebody else was first
        cutoff = _time(form["cutoff"])
        if cutoff is None or not form["run"]:
            raise HTTPException(422, "This form is not whole; open the group again and begin anew.")
        if action == DROP and not _can_be_read(form["reason"]):
            form.errors["reason"] = "Say why they are not needed any more; it is all that will be left of them."
        if action == REDRIVE and form["rate"] not in RATES:
            form.errors["rate"] = "Choose one of the rates."
        group = await self._group(group_id, anew=True)
        if form.is_wrong:
            return await self._ask(request, action, group, form["id"], form)
        run = await self._run(request, action, group, form, cutoff)
        return _to(self._desk.runs.begin(run))

    async def _run(self, request: Request, action: str, group: Group, form: Form, cutoff: datetime) -> Run:
        judged = await self._judged(_chosen(group, cutoff, form["id"]))
        going = [letter for letter, why in judged if not why or action == DROP]
        if not going:
            raise HTTPException(409, "None of these letters is left, or none of them may go; see the audit list.")
        return Run(
            id=form["run"],
            action=action,
            group=group.id,
            title=f"{message_name(group.type)} in {group.service}",
            by=str(who(request)),
            reason=form["reason"][:500],
            rate=float(form["rate"] or 0),
            began=self._desk.clock(),
            cutoff=cutoff,
            letters=tuple(going),
            refused=tuple((letter, why) for letter, why in judged if why and action == REDRIVE),
        )

    async def _group(self, group_id: str, *, anew: bool = False) -> Group:
        look = await self._desk.letters.look(anew=anew)
        if look.letters is None:
            raise HTTPException(503, f"The broker does not show its dead letters: {look.why}")
        group = look.group(group_id)
        if group is None:
            raise HTTPException(
                404, "No dead letter of this group is left. The audit list tells who redrove or dropped them."
            )
        return group

    async def _judged(self, letters: Sequence[DeadLetter]) -> list[tuple[DeadLetter, str]]:
        """Each with why it may not be redriven; empty if it may."""
        at_once = asyncio.Semaphore(_JUDGED_AT_ONCE)
        addresses, now = self._desk.settings.addresses, self._desk.clock()

        async def verdict(letter: DeadLetter) -> str:
            async with at_once:
                return await why_not(letter, self._desk.http, addresses, now)

        verdicts = await asyncio.gather(*(verdict(letter) for letter in letters))
        return list(zip(letters, verdicts, strict=True))


def _chosen(group: Group, cutoff: datetime, id_: str) -> list[DeadLetter]:
    return [letter for letter in group.until(cutoff) if not id_ or letter.id == id_]


def _matches(group: Group, service: str, text: str) -> bool:
    words = (group.sample, group.type, message_name(group.type), group.error_type)
    return (not service or group.service == service) and (
        not text or any(text.lower() in word.lower() for word in words)
    )


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def _to(run: Run) -> Response:
    return RedirectResponse(f"/ops/redrives/{run.id}", 303)


def _can_be_read(reason: str) -> bool:
    try:
        return bool(several_lines(reason))
    except ValueError:
        return False
