"""`python -m inventory_svc`: run inventory_svc as its own process."""

from chassis.runtime import run
from chassis.settings import load_settings
from inventory_svc.api import routes
from inventory_svc.faults import with_fault
from inventory_svc.service import inventory_service
from inventory_svc.settings import InventorySettings


def main() -> None:
    settings: InventorySettings = load_settings(InventorySettings)
    run(with_fault(inventory_service(settings.ttl), settings.inventory_fault_sku), settings, routes=routes)


if __name__ == "__main__":
    main()
