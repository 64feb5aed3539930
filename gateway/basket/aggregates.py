"""The aggregate of baskets."""

from datetime import timedelta

from chassis.core.definition import Aggregate
from gateway.basket import basket
from gateway.basket.basket import Basket

# Several tabs of a customer may change a basket concurrently. With fewer ids, a change whose write got no
# response could not detect that it was written.
_HANDLED_MAX = 50

BASKETS = Aggregate(
    "baskets", Basket(), basket.decide, handles=(), handled_max=_HANDLED_MAX, ttl=timedelta(days=30)
)
