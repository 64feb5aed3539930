"""The error for a missing service or program that the shop requires."""


class InfrastructureUnavailable(Exception):
    """A required service or program is missing; `remedy` tells the user what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}\n  {remedy}")
        self.reason = reason
        self.remedy = remedy
