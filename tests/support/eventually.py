"""Waits for conditions."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
WAIT_S_MAX = 60.0
_PAUSE_S_MAX = 1.6


@overload
async def until(
    look: Callable[[], Awaitable[T]],
    holds: Callable[[T], object] = ...,
    *,
    within_s: float = ...,
    otherwise: str = ...,
) -> T: ...
@overload
async def until(
    look: Callable[[], T], holds: Callable[[T], object] = ..., *, within_s: float = ..., otherwise: str = ...
) -> T: ...
async def until(
    look: Callable[[], Any],
    holds: Callable[[Any], object] = bool,
    *,
    within_s: float = WAIT_S_MAX,
    otherwise: str = "",
) -> Any:
    """The value of `look` as soon as `holds` accepts it.

    Raises TimeoutError with `otherwise`, or with the last value.

    The poll interval grows with the duration of a look, to keep the load on the observed process low.
    """
    clock = asyncio.get_running_loop().time
    began, seen = clock(), None
    limit = asyncio.timeout(within_s)
    try:
        async with limit:
            while not holds(seen := await _response(look())):
                await asyncio.sleep(min(0.005 + (clock() - began) / 5, _PAUSE_S_MAX))
            return seen
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimeoutError(f"after {within_s:.0f} s {otherwise or f'it is still {seen!r:.1000}'}") from None


async def _response(seen: Any) -> Any:
    return await seen if inspect.isawaitable(seen) else seen
