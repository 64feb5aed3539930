"""`python -m product_svc`: run product_svc as its own process."""

from product_svc.application import APPLICATION


def main() -> None:
    APPLICATION.run()


if __name__ == "__main__":
    main()
