"""The roles of accounts. A module of its own, because most users of roles read no tokens."""

from enum import StrEnum


class Role(StrEnum):
    CUSTOMER = "customer"
    STAFF = "staff"
