"""The settings of inventory_svc, in addition to those of every service."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from chassis.settings import Settings, within_retention
from contracts.http.inventory import LOW_STOCK_MAX, USUAL_LOW_STOCK
from contracts.http.orders import USUAL_RETURN_DAYS, ReturnDays


class InventorySettings(Settings):
    """Read from environment variables of the same names, in upper case."""

    low_stock: int = Field(
        USUAL_LOW_STOCK,
        ge=0,
        le=LOW_STOCK_MAX,
        description="an article is low in stock while at most so many pieces are available",
    )
    # order_svc decides by it; here it only ensures that reservations are kept for so long.
    return_days: Annotated[ReturnDays, AfterValidator(within_retention)] = Field(
        USUAL_RETURN_DAYS, validate_default=True
    )
    inventory_fault_sku: str = Field(
        "", description="a test aid, see faults.py; needs JOURNEY_ALLOW_FAULTS=1"
    )

    @field_validator("inventory_fault_sku")
    @classmethod
    def _is_allowed(cls, sku: str, info: ValidationInfo) -> str:
        if sku and not info.data.get("journey_allow_faults"):
            raise ValueError("refused: this breaks the service on purpose")
        return sku
