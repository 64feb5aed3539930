"""The switchboard of product_svc: what it hears, and who decides."""

from chassis.service import Aggregate, Service
from contracts import products
from product_svc import decider
from product_svc.product import Product

PRODUCTS = Aggregate(
    kind="products",
    start=Product(),
    decide=decider.decide,
    hears=(products.ListProduct, products.ChangePrice, products.WithdrawProduct),
    handled_max=50,
    indexes=("status", "category", "words"),
)


def product_service() -> Service:
    return Service("product_svc", (PRODUCTS,))
