"""Starts and stops the broker, the database and the mailbox:
`python -m journey.infra start | stop | status`.
"""

import sys

from journey.devenv.infra.cli import main

if __name__ == "__main__":
    sys.exit(main())
