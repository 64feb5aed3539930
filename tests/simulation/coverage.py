"""The branches of the deciders that a run has reached: a message that was decided in a status."""

from collections import Counter
from dataclasses import replace
from typing import Any

from chassis.core.decision import Context, Decider
from chassis.core.definition import Aggregate, ServiceDefinition

Branch = tuple[str, str, str]  # kind, status, message
reached: Counter[Branch] = Counter()


def counted_branches(service: ServiceDefinition) -> ServiceDefinition:
    """The same service, with its decisions counted in `reached`."""
    aggregates = tuple(replace(aggregate, decide=_counting(aggregate)) for aggregate in service.aggregates)
    return replace(service, aggregates=aggregates)


def _counting(aggregate: Aggregate[Any]) -> Decider[Any]:
    decide, kind = aggregate.decide, aggregate.kind

    def counted(state: Any, message: Any, context: Context[Any]) -> Any:
        decision = decide(state, message, context)  # an unexpected message raises, and is no branch
        reached[kind, str(getattr(state, "status", "")), type(message).__name__] += 1
        return decision

    return counted
