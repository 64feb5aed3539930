"""`python -m journey.cli`: the same as the command `journey`."""

from journey.cli.app import main

main()
