"""The settings of inventory_svc, in addition to those of every service."""

from pydantic import Field, ValidationInfo, field_validator

from chassis.settings import Settings


class InventorySettings(Settings):
    """Read from environment variables of the same names, in upper case."""

    journey_allow_faults: bool = Field(False, description="1 in test environments only")
    inventory_fault_sku: str = Field(
        "", description="a test aid, see faults.py; needs JOURNEY_ALLOW_FAULTS=1"
    )

    @field_validator("inventory_fault_sku")
    @classmethod
    def _is_allowed(cls, sku: str, info: ValidationInfo) -> str:
        if sku and not info.data.get("journey_allow_faults"):
            raise ValueError("refused: this breaks the service on purpose")
        return sku
