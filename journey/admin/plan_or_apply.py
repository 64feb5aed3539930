"""The command line `plan | apply` of the modules that containers and Jobs in Kubernetes run."""

import asyncio
import sys
import traceback
from collections.abc import Callable
from typing import Protocol

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable

DIFFERENCES = 1
UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h


class Target(Protocol):
    """A server. Its methods raise InfrastructureUnavailable."""

    async def apply(self) -> None: ...

    async def plan(self) -> list[str]:
        """The differences, a sentence each."""
        ...


def plan_or_apply(arguments: list[str], target_from: Callable[[], Target], *, usage: str | None) -> int:
    """Returns the exit code: 0 without a difference, 1 with some, 2 if the server cannot be used, 70 for an
    unexpected error, whose traceback is printed.

    `target_from`: reads the environment; raises InfrastructureUnavailable.
    """
    if arguments not in (["plan"], ["apply"]):
        print(usage, file=sys.stderr)
        return 2
    try:
        target = target_from()
        if arguments == ["apply"]:
            asyncio.run(target.apply())
            return 0
        differences = asyncio.run(target.plan())
    except InfrastructureUnavailable as error:
        print(f"error: {error.reason}\nwhat to do: {error.remedy}", file=sys.stderr)
        return 2
    except Exception:  # Python itself would exit with 1, which means differences
        traceback.print_exc()
        return UNEXPECTED
    for sentence in differences:
        print(sentence)
    return DIFFERENCES if differences else 0
