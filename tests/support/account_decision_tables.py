"""The decision table of accounts. Most of their commands arrive over HTTP and are not messages of the bus."""

from dataclasses import replace
from datetime import UTC, datetime

from contracts.roles import Role
from contracts.users import GrantRole, RevokeRole
from tests.support.decision_tables import DecisionTable
from tests.support.messages import CUSTOMER
from user_svc.accounts.user import (
    ADDRESSES_MAX,
    MAIL_INTERVAL_MIN,
    Abandon,
    AccountRuleViolation,
    AccountStatus,
    AddAddress,
    Address,
    ChangeProfile,
    EndAllLogins,
    Erase,
    Prove,
    Register,
    RegisterAgain,
    RemoveAddress,
    RequestProof,
    RequestReset,
    SetPassword,
)
from user_svc.service import user_service

_HOME = Address("home", "A. Buyer", "1 High Street", "12345", "Town", "DE")
_REGISTER = Register(CUSTOMER, "buyer@example.org", "A. Buyer", "hash", datetime(2026, 1, 1, tzinfo=UTC))

_SOON, _LATER = _REGISTER.at + MAIL_INTERVAL_MIN / 2, _REGISTER.at + MAIL_INTERVAL_MIN
_ACTIVE = [_REGISTER, Prove()]

USERS = DecisionTable(
    "users",
    user_service,
    "users",
    statuses=AccountStatus,
    refusals=(AccountRuleViolation,),
    histories={
        "new": [],
        "unproved": [_REGISTER],
        "active": _ACTIVE,
        "active, staff": [*_ACTIVE, GrantRole(user_id=CUSTOMER, role=Role.STAFF)],
        "active, with an address": [*_ACTIVE, AddAddress(_HOME)],
        "active, addresses full": [
            *_ACTIVE,
            *(AddAddress(replace(_HOME, label=f"address {number}")) for number in range(ADDRESSES_MAX)),
        ],
        "erased": [_REGISTER, Erase()],
    },
    messages={
        "Register": _REGISTER,
        "RegisterAgain": RegisterAgain(CUSTOMER, _LATER),
        "Abandon": Abandon(),
        "RequestProof": RequestProof(CUSTOMER, _LATER),
        "RequestProof within a minute": RequestProof(CUSTOMER, _SOON),
        "RequestReset": RequestReset(CUSTOMER, _LATER),
        "Prove": Prove(),
        "SetPassword": SetPassword("another hash", 0, CUSTOMER),
        "SetPassword, out of date": SetPassword("another hash", 7, CUSTOMER),
        "EndAllLogins": EndAllLogins(),
        "GrantRole staff": GrantRole(user_id=CUSTOMER, role=Role.STAFF),
        "RevokeRole staff": RevokeRole(user_id=CUSTOMER, role=Role.STAFF),
        "RevokeRole customer": RevokeRole(user_id=CUSTOMER, role=Role.CUSTOMER),
        "ChangeProfile": ChangeProfile("B. Buyer"),
        "AddAddress": AddAddress(_HOME),
        "RemoveAddress": RemoveAddress("home"),
        "Erase": Erase(),
    },
)
