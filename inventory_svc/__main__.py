"""`python -m inventory_svc`: run inventory_svc as its own process."""

from inventory_svc.application import APPLICATION


def main() -> None:
    APPLICATION.run()


if __name__ == "__main__":
    main()
