"""A long history, created inside the database: orders at rest,
as an older version of the services wrote them.
"""

from typing import Any

from pymongo import AsyncMongoClient

Json = dict[str, Any]
_CHUNK = 1_000
_EUR = {"amount_minor": 500, "currency": "EUR"}
_AT = "2020-01-01T00:00:00.000000+00:00"
_NO_USER = "00000000-0000-0000-0000-000000000000"
SKU = "TEA-GREEN"
_LINE = {"sku": SKU, "quantity": 1}
_TOTAL = {"$literal": _EUR}
_LINES = {"$literal": [_LINE]}
_PRICED = {"$literal": [_LINE | {"price": _EUR}]}

_ID = {
    "$concat": [
        "01890a5d-0000-7000-8000-",
        {"$substrBytes": [{"$toString": {"$add": [10**12, "$n"]}}, 1, 12]},
    ]
}
_CONFIRMED = {"$concat": ["confirmed ", "$id"]}


def order_id(number: int) -> str:
    return f"01890a5d-0000-7000-8000-{number:012}"


def _at_rest(key: Any, state: Json, handled_type: Any, emits: list[Json]) -> Json:
    """A document; the database fills in what begins with a dollar sign."""
    output = {"id": handled_type, "type": "x", "at": "$$NOW", "from": "", "to": "", "says": emits}
    return {
        "_id": key,
        "version": {"$literal": 1},
        "state": state,
        "handled": [handled_type],
        "said": [output],
    }


def _documents(every: int) -> dict[tuple[str, str], Json]:
    """By service and kind. One payment in `every` has not handled its OrderConfirmed."""
    body = {"id": _CONFIRMED, "type": "order.confirmed.v1", "source": "order_svc", "subject": "$id",
            "time": _AT, "correlation_id": "$id", "causation_id": "", "body": "{}",
            "traceparent": ""}  # fmt: skip
    missed = {"$eq": [{"$mod": ["$n", every]}, 0]}
    paid = {"$cond": [missed, "authorized", "captured"]}
    handled_type = {"$cond": [missed, "something else", _CONFIRMED]}
    order = {
        "status": "confirmed",
        "order_id": "$id",
        "customer_id": _NO_USER,
        "lines": {"$literal": [_LINE | {"price": _EUR}]},
    }
    payment = {"status": paid, "order_id": "$id", "customer_id": _NO_USER, "total": _TOTAL}
    mail = {"status": "sent", "about": "$id", "kind": "order_confirmed", "user_id": _NO_USER}
    moved = {"effect": "capture", "asked": "", "reference": "r", "amount": _TOTAL, "outcome": "captured"}
    return {
        ("order_svc", "orders"): _at_rest(
            "$id", order | {"total": _TOTAL}, {"$concat": ["placing ", "$id"]}, [body]
        ),
        ("inventory_svc", "reservations"): _at_rest(
            "$id", {"status": "committed", "lines": _LINES}, _CONFIRMED, []
        ),
        ("payment_svc", "payments"): _at_rest("$id", payment, handled_type, []),
        ("notification_svc", "mails"): _at_rest(
            {"$concat": ["$id", ":order_confirmed"]}, mail, _CONFIRMED, []
        ),
        ("card_provider", "ledger"): _at_rest({"$concat": ["$id", ":capture"]}, moved, "x", []),
    }


async def write(mongo_url: str, prefix: str, orders: int, missed: int) -> None:
    """Write `orders` orders, `missed` of which wait for their capture."""
    async with AsyncMongoClient[Json](mongo_url) as client:
        for (service, kind), document in _documents(orders // missed).items():
            database = client.get_database(f"{prefix}{service}")
            await database["seed"].insert_many({"first": first} for first in range(0, orders, _CHUNK))
            made: list[Json] = [
                {"$project": {"n": {"$range": ["$first", {"$min": [orders, {"$add": ["$first", _CHUNK]}]}]}}},
                {"$unwind": "$n"},
                {"$project": {"_id": 0, "n": 1, "id": _ID}},
                {"$project": document},
                {"$out": kind},
            ]
            await (await database["seed"].aggregate(made, allowDiskUse=True)).to_list()
            await database["seed"].drop()
        shelf = {"sku": SKU, "received": orders, "available": 0, "reserved": 0, "sold": orders}
        document = {"_id": SKU, "version": 1, "state": shelf, "handled": [], "said": []}
        await client.get_database(f"{prefix}inventory_svc")["shelves"].insert_one(document)
