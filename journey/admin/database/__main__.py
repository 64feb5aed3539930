"""`python -m journey.admin.database plan | apply`: for containers and for jobs in Kubernetes.

`plan` prints where the server differs and exits with 1 if it does; `apply` creates the users. Both can be
repeated. Settings: journey/admin/database/target.py.
"""

import sys

from journey.admin.database.target import target_from
from journey.admin.plan_or_apply import plan_or_apply


def main(arguments: list[str]) -> int:
    return plan_or_apply(arguments, target_from, usage=__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
