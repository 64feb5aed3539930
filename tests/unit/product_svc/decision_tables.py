"""Examples of each state of product_svc's aggregates, and all messages that it can then handle."""

from product_svc.product import ProductStatus
from product_svc.service import product_service
from tests.support.decision_tables import DecisionTable, named
from tests.support.messages import CHANGE_PRICE, KEEP_PRICE, LIST, LIST_OTHERWISE, WITHDRAW

PRODUCTS = DecisionTable(
    "products",
    product_service,
    "products",
    statuses=ProductStatus,
    histories={"new": [], "listed": [LIST], "withdrawn": [LIST, WITHDRAW]},
    messages=named(
        LIST,
        (LIST_OTHERWISE, ", described otherwise"),
        CHANGE_PRICE,
        (KEEP_PRICE, " to the same"),
        WITHDRAW,
    ),
)

DECISION_TABLES = (PRODUCTS,)
