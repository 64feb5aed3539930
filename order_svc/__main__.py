"""`python -m order_svc`: run order_svc as its own process."""

from order_svc.application import APPLICATION


def main() -> None:
    APPLICATION.run()


if __name__ == "__main__":
    main()
