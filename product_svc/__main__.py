"""`python -m product_svc`: run product_svc as its own process."""

from chassis.runtime import run
from chassis.settings import load_settings
from product_svc.api import routes
from product_svc.service import product_service


def main() -> None:
    run(product_service(), load_settings(), routes=routes)


if __name__ == "__main__":
    main()
