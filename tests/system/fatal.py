"""An order_svc whose process is killed when it decides on certain orders, as by a bug in native code."""

import os
import signal
from dataclasses import replace
from functools import partial
from typing import Any

import order_svc.application
from chassis.core.decision import Context
from chassis.core.definition import ServiceDefinition
from contracts.orders import PlaceOrder
from order_svc.service import order_service

FATAL_ORDERS = "TEST_FATAL_ORDERS"
"""An environment variable: the ids of the orders, separated by commas."""


def change() -> None:
    fatal = os.environ[FATAL_ORDERS].split(",")

    def changed(*args: Any) -> ServiceDefinition:
        service = order_service(*args)
        orders = next(each for each in service.aggregates if PlaceOrder in each.handles)
        fatally = replace(orders, decide=partial(_decide_or_die, orders.decide, fatal))
        return replace(
            service, aggregates=tuple(fatally if each is orders else each for each in service.aggregates)
        )

    vars(order_svc.application)["order_service"] = changed


def _decide_or_die(decide: Any, fatal: list[str], state: Any, message: Any, context: Context[Any]) -> Any:
    """In the middle of a batch: nothing of the batch is written yet."""
    if message.subject in fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return decide(state, message, context)
