"""What inventory_svc runs: its definition and its routes."""

from functools import partial

from chassis.application import Application, ApplicationParts, OpenStore
from inventory_svc.api import routes
from inventory_svc.faults import with_fault
from inventory_svc.service import inventory_service
from inventory_svc.settings import InventorySettings


def build(settings: InventorySettings, _: OpenStore) -> ApplicationParts:
    service = with_fault(inventory_service(settings.ttl), settings.inventory_fault_sku)
    return ApplicationParts(service, partial(routes, low_stock=settings.low_stock))


APPLICATION = Application(InventorySettings, build)
