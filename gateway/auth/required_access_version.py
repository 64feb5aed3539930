"""Which access version a user's tokens must have at least. user_svc raises it,
see contracts.users.AccessChanged.
"""

from dataclasses import dataclass

from chassis.core.decision import Context, Decision
from contracts.users import AccessChanged


@dataclass(frozen=True, slots=True)
class RequiredAccessVersion:
    """`version` 0: there was no change, or one so long ago that all older tokens have expired."""

    version: int = 0


def decide(
    required: RequiredAccessVersion, changed: AccessChanged, _: Context[object]
) -> Decision[RequiredAccessVersion]:
    """Versions only grow: a late, duplicate or outdated event changes nothing."""
    return Decision(
        required if changed.version <= required.version else RequiredAccessVersion(changed.version)
    )
