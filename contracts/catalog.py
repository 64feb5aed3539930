"""The catalog of the shop: the owners of all its messages. A new service adds its owner here."""

from chassis.messaging.catalog import Catalog
from contracts import inventory, notifications, orders, payments, products, users

CATALOG = Catalog(
    inventory.INVENTORY,
    notifications.NOTIFICATION,
    orders.ORDER,
    payments.PAYMENT,
    products.PRODUCT,
    users.USER,
    declared_in=__name__,
)
# The shop's exchanges, queues and users on the broker.
NAMES = CATALOG.names
