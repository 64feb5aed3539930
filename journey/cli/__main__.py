"""The command `journey`; `python -m journey.cli` is the same.

Its packages are an extra of the distribution, so that the client library needs none of them.
"""

import sys

_OURS = frozenset(("bench", "chassis", "contracts", "gateway", "journey"))


def main() -> None:
    """Run the command. Exits with 1 and the package to install if one is missing."""
    try:
        from journey.cli.app import main as run
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _OURS or package.endswith("_svc"):
            raise
        print(f'journey: the package {package} is missing; pip install "order-journey[cli]"', file=sys.stderr)
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
