"""The indexes of a collection of aggregates."""

from collections.abc import Collection
from typing import Any

from pymongo import IndexModel
from pymongo import timeout as time_limit
from pymongo.errors import OperationFailure

from chassis.store.conditions import IndexPath

# The fields that hold a document's journeys; the last one is from earlier versions.
JOURNEYS = ("said.journey", "unchanged.journey", "journey")
_OTHER_INDEX = (85, 86)  # the server's IndexOptionsConflict and IndexKeySpecsConflict
_INDEXED_S_MAX = 1_800  # a new version may build an index over all existing documents
_DATED = {"changed_at": {"$exists": True}}


async def create_indexes(collection: Any, paths: Collection[IndexPath]) -> None:
    """Create the indexes; if an earlier version created them differently, drop and recreate all.

    `paths`: of the state, those that the service's own API queries. The time limit is longer than that of an
    ordinary call, which would abort the build for a large collection.
    """
    wanted = _indexes(paths)
    with time_limit(_INDEXED_S_MAX):
        try:
            await collection.create_indexes(wanted)
        except OperationFailure as error:
            if error.code not in _OTHER_INDEX:
                raise
            await collection.drop_indexes()
            await collection.create_indexes(wanted)


def _indexes(paths: Collection[IndexPath]) -> list[IndexModel]:
    indexes = [IndexModel(name, sparse=True) for name in ("deadline_at", "unpublished_since")]
    # the server deletes
    indexes.append(IndexModel("kept_until", sparse=True, expireAfterSeconds=0))
    indexes.append(IndexModel([("changed_at", 1), ("_id", 1)], partialFilterExpression=_DATED))
    several = [(path,) if isinstance(path, str) else path for path in paths]
    looked_up = [IndexModel([*((f"state.{path}", 1) for path in each), ("_id", 1)]) for each in several]
    journeys = [IndexModel(path, sparse=True) for path in JOURNEYS]
    return [*journeys, *indexes, *looked_up]
