"""Which dead letters form a group, in the terminal and on the pages, and which a choice selects."""

from dataclasses import replace

from journey.admin.dead_letters.groups import (
    OTHER_ERRORS,
    OTHER_TYPES,
    DeadLetterGroups,
    group_dead_letters,
)
from journey.admin.dead_letters.selection import DeadLetterFilter
from tests.support.dead_letter_messages import given_up, sent
from tests.support.messages import PLACE, PLACED


def test_dead_letters_are_grouped_by_error_type_not_text() -> None:
    errors = [f"no rule for order 01980000-0000-7000-8000-{n:012} in line {n}" for n in range(5)]
    dead_letters = [given_up("inventory_svc", sent(PLACED), error=error) for error in errors]
    dead_letters += [given_up("inventory_svc", sent(PLACED), error=text) for text in ("another", "a third")]
    dead_letters += [
        given_up("payment_svc", sent(PLACED), error=errors[0]),
        given_up("order_svc", sent(PLACE)),
    ]
    assert [(group.service, group.type, group.count) for group in group_dead_letters(dead_letters)] == [
        ("inventory_svc", "order.placed.v1", 7),
        ("order_svc", "order.place.v1", 1),
        ("payment_svc", "order.placed.v1", 1),
    ]
    assert group_dead_letters(dead_letters)[0].other_texts == "2 other texts"
    group = group_dead_letters(dead_letters[:5])[0]
    assert group.other_texts == ""
    assert all(
        DeadLetterFilter(error=group.error).matches(dead_letter) for dead_letter in dead_letters[:5]
    ), "what is shown can be asked for"


def test_counting_keeps_no_dead_letter_and_bounds_groups() -> None:
    groups = DeadLetterGroups()
    for count in range(3_000):
        groups.add(given_up("inventory_svc", sent(PLACED), error=f"error {'x' * count}"[:150]))
        name = f"e{'y' * (count % 150)}z{'w' * (count // 150)}"
        groups.add(
            replace(given_up("order_svc", sent(PLACED)), error_type=name, error=name, origin_queue=name)
        )
    found = groups.sorted()
    assert sum(group.count for group in found) == 6_000 and len(found) <= 1_002
    assert [(group.error_type, group.type) for group in found].count((OTHER_ERRORS, OTHER_TYPES)) == 1
    assert all(len(group.error_texts) <= 100 and len(group.origin_queues) <= 100 for group in found)
    assert all(group.dead_letters == [] for group in found)
    assert all(
        dead_letter.wire_message.body == b""
        for group in found
        for dead_letter in (group.oldest, group.newest)
    )


def test_a_selected_dead_letter_is_found_without_body_and_headers() -> None:
    for wire_message in sent(PLACED), replace(sent(PLACED), message_id=None):
        dead_letter = given_up("inventory_svc", wire_message)
        brief = dead_letter.brief
        assert (brief.wire_message.body, brief.wire_message.headers) == (b"", {})
        assert (brief.id, brief.queue, brief.type, brief.service) == (
            dead_letter.id,
            dead_letter.queue,
            dead_letter.type,
            dead_letter.service,
        )
        assert (brief.journey_id, brief.died_at) == (dead_letter.journey_id, dead_letter.died_at)


def test_a_filter_combines_all_its_conditions() -> None:
    dead_letter = given_up("inventory_svc", sent(PLACED))
    for choice in (
        DeadLetterFilter(),
        DeadLetterFilter(type="OrderPlaced"),
        DeadLetterFilter(type="order.placed.v1", error="A BUG"),
    ):
        assert choice.matches(dead_letter)
    for choice in (
        DeadLetterFilter(type="OrderConfirmed"),
        DeadLetterFilter(error="other"),
        DeadLetterFilter(frozenset(["m-2"]), "OrderPlaced"),
    ):
        assert not choice.matches(dead_letter)
