"""The HTTP side of the fault switches. The routes exist only while faults are allowed."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from chassis.fault_switches import DURATION_S_MAX, FaultSwitches
from chassis.web.problems import ALWAYS, problem_responses


class FaultView(BaseModel):
    """A fault. `ends_at`: when it ends by itself; null while it is off."""

    name: str = Field(max_length=100)
    description: str = Field(max_length=500)
    ends_at: datetime | None


class FaultDuration(BaseModel):
    """How long a fault lasts unless it is turned off earlier, in seconds."""

    for_s: float = Field(DURATION_S_MAX, gt=0, le=DURATION_S_MAX)


def fault_routes(switches: FaultSwitches) -> APIRouter:
    router = APIRouter(tags=["faults"], responses=ALWAYS)

    def view(name: str) -> FaultView:
        return FaultView(
            name=name, description=switches.faults[name].description, ends_at=switches.ends_at(name)
        )

    def check(name: str) -> None:
        if name not in switches.faults:
            raise HTTPException(404, f"there is no fault {name!r}")

    @router.get("/faults")
    async def faults() -> list[FaultView]:
        """The faults of this service, and until when they are on."""
        return [view(name) for name in switches.faults]

    @router.put("/faults/{name}", responses=problem_responses(404))
    async def turn_on(name: str, duration: FaultDuration) -> FaultView:
        """Turn a fault on. It ends by itself after this duration, counted from now."""
        check(name)
        await switches.turn_on(name, duration.for_s)
        return view(name)

    @router.delete("/faults/{name}", responses=problem_responses(404))
    async def turn_off(name: str) -> FaultView:
        """Turn a fault off; no error if it is off."""
        check(name)
        await switches.turn_off(name)
        return view(name)

    return router
