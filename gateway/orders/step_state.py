"""A step of an order's progress, and its state with the label that customers read."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class StepState(StrEnum):
    NEXT = "next"
    WORKING = "working"
    DONE = "done"
    WAITING = "waiting"
    FAILED = "failed"
    UNDONE = "undone"
    SKIPPED = "skipped"

    @property
    def label(self) -> str:
        """The text next to the icon, for readers who cannot see its shape or colour."""
        return _LABELS[self][0]

    @property
    def meaning(self) -> str:
        """Explains the label to customers."""
        return _LABELS[self][1]

    @property
    def in_progress(self) -> bool:
        return self in (StepState.WORKING, StepState.WAITING)


_LABELS = {
    StepState.NEXT: ("Next", "The step has not started yet."),
    StepState.WORKING: ("In progress", "The step is in progress."),
    StepState.DONE: ("Done", "The step is complete."),
    StepState.WAITING: (
        "Waiting",
        "The step takes longer than usual. We keep trying; you do not need to do anything.",
    ),
    StepState.FAILED: ("Failed", "The step failed. The page shows why, and what that means for you."),
    StepState.UNDONE: (
        "Undone",
        "An earlier step was reversed: the payment was refunded, or the items were released.",
    ),
    StepState.SKIPPED: ("Not needed", "The order ended before this step."),
}


@dataclass(frozen=True, slots=True)
class ProgressStep:
    """`at`: when the step completed or, in progress, when it began. `until`: its deadline.

    `then`: what happens after the deadline. `later`: the time since the previous step, if that was long.
    """

    name: str
    state: StepState
    title: str
    sentence: str = ""
    at: datetime | None = None
    until: datetime | None = None
    then: str = ""
    later: str = ""
