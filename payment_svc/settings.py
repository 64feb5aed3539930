"""The settings of payment_svc, in addition to those of every service."""

from typing import Literal

from pydantic import Field

from chassis.settings import Settings
from payment_svc.service import PROVIDER_DATABASE


class PaymentSettings(Settings):
    """Read from environment variables of the same names, in upper case."""

    provider: Literal["simulator"] = Field(
        "simulator", description="the card provider; only a simulated one is available"
    )
    provider_database: str = Field(
        PROVIDER_DATABASE,
        pattern=r"^[A-Za-z0-9_-]{1,60}$",
        description="the simulator's database, separate from payment_svc's, as with a real provider",
    )
    simulator_latency_ms: float = Field(
        5.0, ge=0, le=10_000, description="how long the simulator takes for each call"
    )
