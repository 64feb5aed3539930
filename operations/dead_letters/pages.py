"""The pages of dead letters: groups, single dead letters, redrive, drop with a reason, and the audit list."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from chassis.messaging.identity import new_id
from contracts.text import several_lines
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.groups import DeadLetterGroup
from journey.admin.dead_letters.redrive import DROP, REDRIVE
from journey.admin.dead_letters.selection import redrive_blocker
from journey.admin.diagnosis.timeline import message_name
from operations.access import current_user_id
from operations.dead_letters.cache import DeadLetterCache
from operations.dead_letters.jobs import RedriveJob, RedriveJobs
from operations.web import forms
from operations.web.forms import StaffForm
from operations.web.staff_pages import PageTools, StaffPages, get, post

RATES = {
    "1": "1 a second",
    "5": "5 a second",
    "20": "20 a second",
    "100": "100 a second",
    "0": "as fast as possible",
}
USUAL_RATE = "20"
_ON_A_PAGE = 50
_AUDIT_ENTRIES_SHOWN = 200
_CHECKED_AT_ONCE = 8


class DeadLetterPages(StaffPages):
    def __init__(self, tools: PageTools, *, dead_letters: DeadLetterCache, jobs: RedriveJobs) -> None:
        super().__init__(tools)
        self._dead_letters = dead_letters
        self._jobs = jobs

    def routes(self) -> Iterable[APIRoute]:
        group = "/ops/dead-letters/{group_id}"
        return (
            get("/ops/dead-letters", self.groups),
            get(group, self.group),
            get(f"{group}/letter", self.dead_letter),
            get(f"{group}/redrive", self.confirm_redrive),
            post(f"{group}/redrive", self.redrive),
            get(f"{group}/drop", self.confirm_drop),
            post(f"{group}/drop", self.drop),
            get("/ops/audit", self.audit),
        )

    async def groups(self, request: Request, service: str = "", text: str = "") -> Response:
        snapshot = await self._dead_letters.snapshot()
        groups = [group for group in snapshot.groups if _matches(group, service, text)]
        jobs = {group.id: self._jobs.latest_of(group.id) for group in groups}
        latest = self._jobs.latest[:5]
        await self._follow_up(*jobs.values(), *latest)
        return self._render(
            request,
            "groups.html",
            snapshot=snapshot,
            groups=groups,
            jobs=jobs,
            latest=latest,
            services=sorted({group.service for group in snapshot.groups}),
            service=service,
            text=text,
        )

    async def group(self, request: Request, group_id: str, after: int = 0) -> Response:
        group = await self._group(group_id)
        job = self._jobs.latest_of(group_id)
        await self._follow_up(job)
        return self._render(
            request,
            "group.html",
            group=group,
            more=(await self._dead_letters.snapshot()).more,
            job=job,
            dead_letters=group.dead_letters[after : after + _ON_A_PAGE],
            after=after,
            next=after + _ON_A_PAGE if len(group.dead_letters) > after + _ON_A_PAGE else None,
            before=max(0, after - _ON_A_PAGE) if after else None,
        )

    async def dead_letter(self, request: Request, group_id: str, id: str) -> Response:
        group = await self._group(group_id)
        dead_letter = next((dead_letter for dead_letter in group.dead_letters if dead_letter.id == id), None)
        if dead_letter is None:
            raise HTTPException(
                404, "This dead letter no longer exists. The audit list shows who redrove or dropped it."
            )
        [(_, blocker)] = await self._with_blockers([dead_letter])
        return self._render(
            request, "dead_letter.html", group=group, dead_letter=dead_letter, refusal=blocker
        )

    async def confirm_redrive(self, request: Request, group_id: str, id: str = "") -> Response:
        if job := self._jobs.running(group_id):
            return _redirect_to(job)
        group = await self._group(group_id, refresh=True)
        return await self._confirmation(request, REDRIVE, group, id, StaffForm({"rate": USUAL_RATE}))

    async def confirm_drop(self, request: Request, group_id: str, id: str = "") -> Response:
        if job := self._jobs.running(group_id):
            return _redirect_to(job)
        group = await self._group(group_id, refresh=True)
        return await self._confirmation(request, DROP, group, id, StaffForm())

    async def redrive(self, request: Request, group_id: str) -> Response:
        return await self._perform_action(request, REDRIVE, group_id)

    async def drop(self, request: Request, group_id: str) -> Response:
        return await self._perform_action(request, DROP, group_id)

    async def audit(self, request: Request) -> Response:
        entries = await self._tools.broker.audit_entries(_AUDIT_ENTRIES_SHOWN + 1)
        shown = entries[::-1][:_AUDIT_ENTRIES_SHOWN]
        return self._render(request, "audit.html", entries=shown, has_more=len(entries) > len(shown))

    async def _follow_up(self, *jobs: RedriveJob | None) -> None:
        """What became of the sent ones is only known when the services are asked."""
        by_id = {job.id: job for job in jobs if job is not None}
        await self._jobs.follow_up_all(by_id.values(), self._tools.http)

    async def _confirmation(
        self, request: Request, action: str, group: DeadLetterGroup, id_: str, form: StaffForm
    ) -> Response:
        """The confirmation page. Messages that are dead-lettered after it was shown are not included."""
        cutoff = _time(form["cutoff"]) or self._tools.clock()
        with_blockers = await self._with_blockers(_selected(group, cutoff, id_))
        return self._render(
            request,
            f"{action}.html",
            422 if form.is_wrong else 200,
            group=group,
            selected=[dead_letter for dead_letter, blocker in with_blockers if not blocker or action == DROP],
            refused=[
                (dead_letter, blocker)
                for dead_letter, blocker in with_blockers
                if blocker and action == REDRIVE
            ],
            id=id_,
            cutoff=cutoff,
            run_id=form["run"] or str(new_id()),
            form=form,
            rates=RATES,
        )

    async def _perform_action(self, request: Request, action: str, group_id: str) -> Response:
        form = await forms.read_form(request)
        if job := self._jobs.of(form["run"]) or self._jobs.running(group_id):
            return _redirect_to(job)  # submitted twice, or another user was first
        cutoff = _time(form["cutoff"])
        if cutoff is None or not form["run"]:
            raise HTTPException(422, "This form is incomplete. Open the group and start again.")
        if action == DROP and not _is_readable(form["reason"]):
            form.errors["reason"] = (
                "State why they are no longer needed. Only the audit list keeps this reason."
            )
        if action == REDRIVE and form["rate"] not in RATES:
            form.errors["rate"] = "Choose one of the rates."
        group = await self._group(group_id, refresh=True)
        if form.is_wrong:
            return await self._confirmation(request, action, group, form["id"], form)
        job = await self._job(request, action, group, form, cutoff)
        return _redirect_to(self._jobs.start(job))

    async def _job(
        self, request: Request, action: str, group: DeadLetterGroup, form: StaffForm, cutoff: datetime
    ) -> RedriveJob:
        with_blockers = await self._with_blockers(_selected(group, cutoff, form["id"]))
        selected = [dead_letter for dead_letter, blocker in with_blockers if not blocker or action == DROP]
        if not selected:
            raise HTTPException(
                409,
                "None of these dead letters is left, or none of them may be redriven; see the audit list.",
            )
        return RedriveJob(
            id=form["run"],
            action=action,
            group=group.id,
            title=f"{message_name(group.type)} in {group.service}",
            by=str(current_user_id(request)),
            reason=form["reason"][:500],
            rate=float(form["rate"] or 0),
            began=self._tools.clock(),
            cutoff=cutoff,
            dead_letters=tuple(selected),
            refused=tuple(
                (dead_letter, blocker)
                for dead_letter, blocker in with_blockers
                if blocker and action == REDRIVE
            ),
        )

    async def _group(self, group_id: str, *, refresh: bool = False) -> DeadLetterGroup:
        snapshot = await self._dead_letters.snapshot(refresh=refresh)
        if snapshot.dead_letters is None:
            raise HTTPException(503, f"The broker does not return its dead letters: {snapshot.why}")
        group = snapshot.group(group_id)
        if group is None:
            raise HTTPException(
                404, "No dead letter of this group is left. The audit list shows who redrove or dropped them."
            )
        return group

    async def _with_blockers(self, dead_letters: Sequence[DeadLetter]) -> list[tuple[DeadLetter, str]]:
        """Each dead letter with the reason why it cannot be redriven; empty if it can."""
        at_once = asyncio.Semaphore(_CHECKED_AT_ONCE)
        addresses, now = self._tools.addresses, self._tools.clock()

        async def blocker(dead_letter: DeadLetter) -> str:
            async with at_once:
                return await redrive_blocker(dead_letter, self._tools.http, addresses, now)

        blockers = await asyncio.gather(*(blocker(dead_letter) for dead_letter in dead_letters))
        return list(zip(dead_letters, blockers, strict=True))


def _selected(group: DeadLetterGroup, cutoff: datetime, id_: str) -> list[DeadLetter]:
    return [dead_letter for dead_letter in group.until(cutoff) if not id_ or dead_letter.id == id_]


def _matches(group: DeadLetterGroup, service: str, text: str) -> bool:
    texts = (group.sample, group.type, message_name(group.type), group.error_type)
    return (not service or group.service == service) and (
        not text or any(text.lower() in each.lower() for each in texts)
    )


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def _redirect_to(job: RedriveJob) -> Response:
    return RedirectResponse(f"/ops/redrives/{job.id}", 303)


def _is_readable(reason: str) -> bool:
    try:
        return bool(several_lines(reason))
    except ValueError:
        return False
