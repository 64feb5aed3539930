"""A test aid, never for production: a bug in one rule, to show that other orders are not affected.

INVENTORY_FAULT_SKU=… makes every message with this article among its lines raise. It is rejected unless
JOURNEY_ALLOW_FAULTS=1.
"""

from dataclasses import replace
from typing import Any

from chassis.core.decision import Context, Decision, RunEffect
from chassis.core.definition import Aggregate, ServiceDefinition


def with_fault(service: ServiceDefinition, sku: str) -> ServiceDefinition:
    if not sku:
        return service
    return replace(service, aggregates=tuple(_broken(aggregate, sku) for aggregate in service.aggregates))


def _broken(aggregate: Aggregate[Any], sku: str) -> Aggregate[Any]:
    def decide(state: Any, message: Any, context: Context[Any]) -> Decision[Any] | RunEffect:
        if any(line.sku == sku for line in getattr(message, "lines", ())):
            raise RuntimeError(f"INVENTORY_FAULT_SKU={sku}")
        return aggregate.decide(state, message, context)

    return replace(aggregate, decide=decide)
