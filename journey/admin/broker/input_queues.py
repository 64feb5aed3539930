"""Figures of input queues: those of a queue's partitions as one."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypeVar

from chassis.messaging.partitions import input_queue_of
from journey.admin.broker.management import Depth

D = TypeVar("D", bound=Depth)


def by_input_queue(figures: Mapping[str, D]) -> dict[str, D]:
    """The figures of all queues, with those of partitions under the name of their input queue."""
    groups: dict[str, list[D]] = {}
    for queue, figure in figures.items():
        groups.setdefault(input_queue_of(queue), []).append(figure)
    return {queue: group[0] if len(group) == 1 else _merged(group) for queue, group in groups.items()}


def _merged(group: list[D]) -> D:
    """The sums; of consumers the fewest, because every partition needs one. None if one is unknown."""
    whole = {}
    for each in fields(group[0]):
        known = [getattr(figure, each.name) for figure in group]
        combine = min if each.name == "consumers" else sum
        whole[each.name] = None if None in known else combine(known)
    return replace(group[0], **whole)
