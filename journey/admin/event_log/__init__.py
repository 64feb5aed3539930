"""The journal of all events: read, replay, backfill."""
