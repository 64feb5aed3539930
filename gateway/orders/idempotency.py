"""The Idempotency-Key: one order per user and key, however many requests have the key, also concurrently.

The first write chooses the order's id, and later requests read it. So a key is never "in use": every request
with the key takes the same steps for the same order, and each step can be repeated.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from chassis.core.decision import Context, Decision
from chassis.messaging.identity import derived_id
from contracts.values import NIL_UUID, Money, OrderLine


class IdempotencyStatus(StrEnum):
    NEW = "new"
    CLAIMED = "taken"  # the stored value keeps its first name


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """`fingerprint`: the SHA-256 of the request's content in canonical form."""

    status: IdempotencyStatus = IdempotencyStatus.NEW
    order_id: UUID = NIL_UUID
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class ClaimKey:
    order_id: UUID
    fingerprint: str


class IdempotencyKeyReused(Exception):
    """The key was used for a different request."""


def decide(record: IdempotencyRecord, claim: ClaimKey, _: Context[object]) -> Decision[IdempotencyRecord]:
    match record.status:
        case IdempotencyStatus.NEW:
            return Decision(IdempotencyRecord(IdempotencyStatus.CLAIMED, claim.order_id, claim.fingerprint))
        case IdempotencyStatus.CLAIMED if record.fingerprint == claim.fingerprint:
            return Decision(record)
        case IdempotencyStatus.CLAIMED:
            raise IdempotencyKeyReused


def record_key(user_id: UUID, route: str, key: str) -> str:
    return derived_id("request", user_id, route, key)


def fingerprint_of(
    lines: tuple[OrderLine, ...], total: Money | None, card_token: str, delivery_digest: str
) -> str:
    """The SHA-256 of the request's content, independent of its formatting.

    `delivery_digest`: empty if the request names no delivery address, as those of earlier versions.
    """
    action = [
        [(line.sku, line.quantity) for line in lines],
        None if total is None else str(total),
        card_token,
        *([delivery_digest] if delivery_digest else []),
    ]
    return hashlib.sha256(json.dumps(action).encode()).hexdigest()
