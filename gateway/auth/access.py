"""From which version on the access tokens of a user count. user_svc raises it, see contracts.users.AccessChanged."""

from dataclasses import dataclass

from chassis.core.decision import Decision
from contracts.users import AccessChanged


@dataclass(frozen=True, slots=True)
class Access:
    """`version` 0: user_svc has not announced a change, or so long ago that no older token can be in use."""

    version: int = 0


def decide(access: Access, changed: AccessChanged) -> Decision[Access]:
    """Versions only grow: a late, repeated or overtaken event changes nothing."""
    return Decision(access if changed.version <= access.version else Access(changed.version))
