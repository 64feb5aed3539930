"""The switchboard of product_svc: what it hears, and who decides."""

from typing import get_args

from chassis.service import Aggregate, Service
from product_svc import decider
from product_svc.product import Product

PRODUCTS = Aggregate(
    kind="products",
    start=Product(),
    decide=decider.decide,
    hears=get_args(decider.Heard),
    handled_max=50,
    indexes=("status", "category", "words", "words_version"),
)


def product_service() -> Service:
    return Service("product_svc", (PRODUCTS,))
