"""The previous release and this checkout read each other's messages and stored states."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chassis.messaging.partitions import input_queue_of, is_added_queue
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
    "reservations: OrderDispatched while dispatched": "goods that come back may have overtaken it",
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


def bindings_of(tree: Path) -> set[tuple[str, str, str]]:
    """Exchange, routing key and queue of each binding to an input queue."""
    found = {(exchange, key, queue) for exchange, key, queue in run(tree, "bindings")}
    return {each for each in found if input_queue_of(each[2]).endswith((".events", ".commands"))}


def test_no_new_message_reaches_a_release_that_dead_letters_it(previous: Path) -> None:
    """Release 0.1.0 does not leave unknown messages to another release; see decisions 49 and 55."""
    before, now = bindings_of(previous), bindings_of(ROOT)
    assert len(before) > 50
    consumed = {queue for _, _, queue in before}
    leaves_it = (previous / "chassis" / "core" / "other_release.py").exists()
    new = sorted(each for each in now - before if each[2] in consumed)
    assert leaves_it or not new, "name the messages in `added` of the service's definition"


def test_no_message_that_the_previous_release_consumes_is_added(previous: Path) -> None:
    """Its binding of the previous release stays during an update, so the message would be delivered twice."""
    before = bindings_of(previous)
    added = {each for each in bindings_of(ROOT) if is_added_queue(each[2])}
    assert not {(exchange, key, input_queue_of(queue)) for exchange, key, queue in added} & before


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
