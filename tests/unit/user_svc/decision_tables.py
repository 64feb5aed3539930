"""The decision table of accounts. Most of their commands arrive over HTTP and are not messages of the bus."""

from dataclasses import replace
from datetime import UTC, datetime

from contracts.roles import Role
from contracts.users import ForgetEmails, GrantRole, RevokeRole
from tests.support.decision_tables import DecisionTable
from tests.support.messages import CUSTOMER
from user_svc.accounts.email_change import ChangeEmail, DropEmailChange, RequestEmailChange
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
    RenewAccess,
    RequestProof,
    RequestReset,
    SetPassword,
)
from user_svc.service import user_service

_HOME = Address("home", "A. Buyer", "1 High Street", "12345", "Town", "DE")
_REGISTER = Register(CUSTOMER, "buyer@example.org", "A. Buyer", "hash", datetime(2026, 1, 1, tzinfo=UTC))

_SOON, _LATER = _REGISTER.at + MAIL_INTERVAL_MIN / 2, _REGISTER.at + MAIL_INTERVAL_MIN
_ACTIVE = [_REGISTER, Prove()]
_CHANGE = RequestEmailChange(CUSTOMER, "b.buyer@example.org", _LATER)

USERS = DecisionTable(
    "users",
    user_service,
    "users",
    statuses=AccountStatus,
    rejections=(AccountRuleViolation,),
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
        "active, changing its e-mail address": [*_ACTIVE, _CHANGE],
        "active, e-mail address changed": [*_ACTIVE, _CHANGE, ChangeEmail(CUSTOMER, _LATER)],
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
        "RequestEmailChange": _CHANGE,
        "RequestEmailChange, taken address": replace(_CHANGE, sends_mail=False),
        "ChangeEmail": ChangeEmail(CUSTOMER, _LATER),
        "DropEmailChange": DropEmailChange(),
        "ForgetEmails": ForgetEmails(user_id=CUSTOMER),
        "RenewAccess": RenewAccess(),
        "GrantRole staff": GrantRole(user_id=CUSTOMER, role=Role.STAFF),
        "RevokeRole staff": RevokeRole(user_id=CUSTOMER, role=Role.STAFF),
        "RevokeRole customer": RevokeRole(user_id=CUSTOMER, role=Role.CUSTOMER),
        "ChangeProfile": ChangeProfile("B. Buyer"),
        "AddAddress": AddAddress(_HOME),
        "RemoveAddress": RemoveAddress("home"),
        "Erase": Erase(),
    },
)

DECISION_TABLES = (USERS,)
