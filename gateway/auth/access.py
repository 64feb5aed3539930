"""The lowest valid version of a user's access tokens. user_svc raises it,
see contracts.users.AccessChanged.
"""

from dataclasses import dataclass

from chassis.core.decision import Context, Decision
from contracts.users import AccessChanged


@dataclass(frozen=True, slots=True)
class Access:
    """`version` 0: there was no change, or one so long ago that all older tokens have expired."""

    version: int = 0


def decide(access: Access, changed: AccessChanged, _: Context[object]) -> Decision[Access]:
    """Versions only grow: a late, duplicate or outdated event changes nothing."""
    return Decision(access if changed.version <= access.version else Access(changed.version))
