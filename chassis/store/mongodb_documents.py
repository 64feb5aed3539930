"""Documents of aggregates in MongoDB: what is read from them, and the update that writes a change."""

from collections.abc import Mapping
from dataclasses import fields

from pymongo import InsertOne, UpdateOne

from chassis.messaging.envelope import Envelope
from chassis.store.lease import Lease
from chassis.store.protocol import Change, Dated, DueAggregate, Handled, HandlingTimes, Json, Loaded

TIMES = tuple(field.name for field in fields(HandlingTimes))
"""The optional fields of an entry. Earlier versions neither write nor read them."""

# The traceparent of the first message of the first record.
_FIRST_EMITTED = {"$arrayElemAt": ["$said.says.traceparent", 0]}
DUE: Json = {"deadline_at": True, "traceparent": {"$arrayElemAt": [_FIRST_EMITTED, 0]}}
"""The fields from which `due_from` reads."""


DATED: Json = dict.fromkeys(
    (
        "version",
        "state",
        "changed_at",
        "kept_until",
        "deadline_at",
        "unpublished_since",
        "said.at",
        "unchanged.at",
    ),
    True,
)
"""The fields from which `dated_from` reads."""


def loaded_from(kind: str, document: Json) -> Loaded:
    return Loaded(
        kind,
        document["_id"],
        version=document["version"],
        state=document["state"],
        handled=frozenset([*document["handled"], *(entry["id"] for entry in document.get("unchanged", ()))]),
        deadline_at=document.get("deadline_at"),
        unpublished="unpublished_since" in document,
        changed_at=document.get("changed_at"),
        lease=Lease(lease["id"], lease["since"]) if (lease := document.get("lease")) else None,
    )


def due_from(document: Json) -> DueAggregate:
    return DueAggregate(document["deadline_at"], document.get("traceparent") or "")


def dated_from(document: Json) -> Dated:
    """Earlier versions recorded the time of a change only in the handled messages."""
    times = [entry["at"] for name in ("said", "unchanged") for entry in document.get(name, ())]
    return Dated(
        document["_id"],
        document["version"],
        document["state"],
        changed_at=document.get("changed_at") or max(times, default=None),
        kept_until=document.get("kept_until"),
        deadline_at=document.get("deadline_at"),
        unpublished="unpublished_since" in document,
    )


def entries_of(document: Json) -> list[Json]:
    """All stored records of handled messages, oldest first."""
    entries = [*document["said"], *(entry | {"changed": False} for entry in document.get("unchanged", ()))]
    return sorted(entries, key=lambda entry: entry["at"])


def handled_from(entry: Json, document: Json | None = None) -> Handled:
    """Earlier versions stored no journey in an entry: it was the document's, or the aggregate's key."""
    return Handled(
        entry["id"],
        entry["type"],
        entry["at"],
        status=(entry["from"], entry["to"]),
        emits=tuple(Envelope.from_document(message) for message in entry["says"]),
        journey=entry.get("journey") or (document or {}).get("journey") or (document or {}).get("_id", ""),
        changed=entry.get("changed", True),
        times=HandlingTimes(
            sent_at=entry.get("sent_at"),
            received_at=entry.get("received_at"),
            effect_began_at=entry.get("effect_began_at"),
            effect_ended_at=entry.get("effect_ended_at"),
            failed_attempts=entry.get("failed_attempts", 0),
            postponed=entry.get("postponed", 0),
        ),
    )


def entry_of(handled: Handled) -> Json:
    status_from, status_to = handled.status
    return {
        "id": handled.message_id,
        "type": handled.type,
        "at": handled.at,
        "journey": handled.journey,
        "from": status_from,
        "to": status_to,
        "says": [envelope.document() for envelope in handled.emits],
        **{name: value for name in TIMES if (value := getattr(handled.times, name))},
    }


def derived_of(key: str, version: int, fields: Mapping[str, str]) -> UpdateOne:
    return UpdateOne(
        {"_id": key, "version": version},
        {"$set": {f"state.{name}": value for name, value in fields.items()}},
    )


def write_of(change: Change) -> InsertOne[Json] | UpdateOne:
    loaded = change.loaded
    ids = [handled.message_id for handled in change.changed]
    emitted = [entry_of(each) for each in change.changed]
    unchanged = [entry_of(each) for each in change.unchanged]
    times = {"deadline_at": change.deadline_at, "kept_until": change.kept_until}
    dated = times | {"changed_at": change.changed_at}
    dated["unpublished_since"] = change.handled[-1].at if change.unpublished else None
    values: Json = {"version": loaded.version + 1, "state": change.state}
    values |= {name: at for name, at in dated.items() if at is not None}
    if change.lease is not None:
        values["lease"] = {"id": change.lease.id, "since": change.lease.since}
    if loaded.version == 0:
        return InsertOne(
            {"_id": loaded.key, "handled": ids, "said": emitted, "unchanged": unchanged, **values}
        )
    update: Json = {"$set": values}
    over = [name for name, at in times.items() if at is None]
    if loaded.lease is not None and change.lease is None:
        over.append("lease")
    if over:
        update["$unset"] = dict.fromkeys(over, "")
    kept = {"handled": (ids, change.handled_max), "said": (emitted, change.handled_max)}
    kept["unchanged"] = unchanged, change.unchanged_max
    overgrown = len(loaded.handled) > change.handled_max + change.unchanged_max
    if pushed := {
        name: {"$each": new, "$slice": -most} for name, (new, most) in kept.items() if new or overgrown
    }:
        update["$push"] = pushed
    return UpdateOne({"_id": loaded.key, "version": loaded.version}, update)
