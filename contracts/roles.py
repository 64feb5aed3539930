"""What somebody with an account may do. Apart from the tokens that say so: most of us read none."""

from enum import StrEnum


class Role(StrEnum):
    CUSTOMER = "customer"
    STAFF = "staff"
