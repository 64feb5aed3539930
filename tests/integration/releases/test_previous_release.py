"""The previous release and this checkout read each other's messages and stored states."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import invented_change, release_stories
from tests.support.releases import (
    HistoryMissing,
    Release,
    changed_copy,
    commit_of_tag,
    git,
    previous_release,
    releases,
    tree_of,
)
from tests.support.source_files import ROOT

Story = dict[str, Any]

_FREE = "an order with a total of zero is confirmed without the card provider"
INTENDED = {
    "payments: OrderConfirmed while authorizing": _FREE,
    "payments: OrderConfirmed while authorizing, order cancelled": _FREE,
}
"""Story of the previous release -> why it ends otherwise now. Empty it after a release."""
FREE = {
    "payments: OrderPlaced with a total of zero while new, goods held": "payment.authorize.v1",
    "payments: StockReserved while new, free order known": "payment.authorize.v1",
    "payments: OrderConfirmed while authorized, free": "payment.capture.v1",
    "payments: OrderCancelled while authorized, free": "payment.void.v1",
    "payments: OrderCancelled while captured, free": "payment.refund.v1",
}
"""Story about an order with a total of zero -> the request to the card provider that the previous release
makes, and this one does not. docs/versioning.md says how to update. Empty it after a release."""
_STAFF = "only staff send it, after the update"
_AFTER_STAFF = "only a command of staff leads to it, after the update"
_AFTER_GATEWAY = "only a change of the address at a new gateway leads to it, which is updated last"
NEW = {
    ("inventory_svc", "inventory.correct.v1"): _STAFF,
    ("notification_svc", "order.tracking_recorded.v1"): f"{_STAFF}: the command that causes it",
    ("notification_svc", "user.email_changed.v1"): _AFTER_GATEWAY,
    ("user_svc", "user.forget_emails.v1"): f"{_AFTER_GATEWAY}, and a day after it",
    ("order_svc", "order.record_tracking.v1"): _STAFF,
    ("order_svc", "order.cancel_as_staff.v1"): _STAFF,
    ("order_svc", "payment.resolved.v1"): _AFTER_STAFF,
    ("order_svc", "order.refund.v1"): _STAFF,
    ("payment_svc", "order.refund_requested.v1"): _AFTER_STAFF,
    ("payment_svc", "payment.refund_part.v1"): _AFTER_STAFF,
    ("notification_svc", "payment.part_refunded.v1"): _AFTER_STAFF,
    ("payment_svc", "payment.retry.v1"): _STAFF,
    ("payment_svc", "payment.settle.v1"): _STAFF,
}
"""New messages of a service -> why none arrives while release 0.1.0 runs. Empty it after a release."""


def run(tree: Path, command: str, stories: list[Story] | None = None) -> list[Any]:
    """What the deciders of a checkout print, see tests/support/release_stories.py."""
    done = subprocess.run(
        [sys.executable, "-P", release_stories.__file__, command],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        input="\n".join(map(json.dumps, stories or [])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def judged(tree: Path, command: str, stories: list[Story]) -> list[str]:
    [sentences] = run(tree, command, stories)
    return [sentence for sentence in sentences if sentence.partition(": it")[0] not in INTENDED]


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    """Those of this checkout."""
    return run(ROOT, "record")


@pytest.fixture(scope="module")
def previous() -> Path:
    return tree_of(previous_release())


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return changed_copy(tmp_path_factory.mktemp("reads"), invented_change.reads)


def test_histories_of_the_previous_release_give_the_same_outcomes(previous: Path) -> None:
    earlier = run(previous, "record")
    assert len(earlier) > 300
    assert INTENDED.keys() <= {story["story"] for story in earlier}
    assert judged(ROOT, "replay", earlier) == [], "keep the decision, or add the story to INTENDED"


def test_the_previous_release_reads_what_this_one_writes(previous: Path, stories: list[Story]) -> None:
    assert judged(previous, "read", stories) == [], (
        "read it in this release, and write it in the next one; see docs/versioning.md"
    )


def test_no_new_message_reaches_a_release_that_dead_letters_it(previous: Path, stories: list[Story]) -> None:
    """Release 0.1.0 does not leave unknown messages to another release; see decision 49."""

    def handled(recorded: list[Story]) -> set[tuple[str, str]]:
        return {(story["service"], story["message"]["type"]) for story in recorded}

    leaves_it = (previous / "chassis" / "core" / "other_release.py").exists()
    new = handled(stories) - handled(run(previous, "record")) - NEW.keys()
    assert leaves_it or not new, "publish a release first that handles it and to which nothing sends it"


def test_the_previous_release_asks_the_card_provider_about_free_orders(
    previous: Path, stories: list[Story]
) -> None:
    """It may decline such an order, or capture without an authorisation what an instance of this release has
    authorised. So no article is free while both run.
    """
    free = [story for story in stories if story["story"] in FREE]
    assert {story["story"] for story in free} == FREE.keys()
    asked = {
        each["story"]: [emitted["type"] for emitted in each["then"]["emits"]]
        for each in run(previous, "decide", free)
    }
    assert asked == {story: [request] for story, request in FREE.items()}
    now = {emitted["type"] for story in free for emitted in story["then"]["emits"]}
    assert not now & set(FREE.values())
    if FREE:
        assert "## Free articles" in (ROOT / "docs" / "versioning.md").read_text()


def test_a_decision_that_has_changed_is_named(stories: list[Story]) -> None:
    [cancelled, *_] = [
        story
        for story in json.loads(json.dumps(stories))
        if story["story"].startswith("orders: CancelOrder") and story["then"].get("emits")
    ]
    assert judged(ROOT, "replay", [cancelled]) == []
    cancelled["then"]["emits"][0]["body"]["reason"] = "deadline"
    [sentence] = judged(ROOT, "replay", [cancelled])
    assert "it.emits[0].body.reason was deadline, and is" in sentence
    cancelled["then"] = {"out of turn": True}
    [sentence] = judged(ROOT, "replay", [cancelled])
    assert "it has no out of turn any more" in sentence


def test_messages_of_an_old_version_end_alike_through_the_upcaster(
    reading: Path, stories: list[Story]
) -> None:
    assert judged(reading, "replay", stories) == []
    assert "order.confirmed.v2" in {story["message"]["type"] for story in run(reading, "record")}


def test_a_release_that_only_reads_a_version_passes(reading: Path) -> None:
    assert judged(ROOT, "read", run(reading, "record")) == []


def test_a_version_that_is_written_too_early_is_named(reading: Path, tmp_path: Path) -> None:
    writing = run(changed_copy(tmp_path, invented_change.writes), "record")
    unread = judged(ROOT, "read", writing)
    assert unread and all("order.confirmed.v2 is unknown" in sentence for sentence in unread)
    assert judged(reading, "read", writing) == []


def test_each_release_is_in_the_history_and_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for release in releases():
        assert git("merge-base", release.commit, "HEAD") == release.commit
        assert commit_of_tag(release) in (None, release.commit)
        assert f"\n## {release.version} " in changelog


def test_a_clone_without_the_release_names_the_remedy() -> None:
    with pytest.raises(HistoryMissing, match="git fetch --unshallow --tags"):
        tree_of(Release("9.9.9", "9" * 40))
