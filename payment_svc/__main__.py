"""`python -m payment_svc`: run payment_svc as its own process, with its simulated card provider."""

from payment_svc.application import APPLICATION


def main() -> None:
    APPLICATION.run()


if __name__ == "__main__":
    main()
