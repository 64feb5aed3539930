"""`python -m user_svc`: run user_svc as its own process."""

from user_svc.application import APPLICATION


def main() -> None:
    APPLICATION.run()


if __name__ == "__main__":
    main()
