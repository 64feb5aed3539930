"""The service definition of product_svc: the messages that it handles, and its aggregates."""

from typing import get_args

from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.core.recall import Recall
from contracts.catalog import CATALOG
from product_svc import decider
from product_svc.product import Product

PRODUCTS = Aggregate(
    kind="products",
    start=Product(),
    decide=decider.decide,
    handles=get_args(decider.Handles),
    handled_max=50,
    indexes=("status", "category", "words", "words_version", ("status", "category")),
    recall=Recall(get_args(decider.Recalled), decider.recall),
)


def product_service() -> ServiceDefinition:
    return ServiceDefinition("product_svc", (PRODUCTS,), catalog=CATALOG)
