"""`python -m inventory_svc`: run inventory_svc as a process of its own."""

from chassis.runtime import run
from chassis.settings import load_settings
from inventory_svc.api import routes
from inventory_svc.service import inventory_service


def main() -> None:
    settings = load_settings()
    run(inventory_service(), settings, routes=routes)


if __name__ == "__main__":
    main()
