"""The exchanges of the retry ladder and of dead letters, and when a redelivered message is a suspect."""

LADDER = ("retry.5s", "retry.1m", "retry.10m")
LADDER_MS = {"retry.5s": 5_000, "retry.1m": 60_000, "retry.10m": 600_000}
DEAD = "dead"
REJECTED = "rejected"
# Some deaths of a consumer are accidents. After these the bus delivers the suspects one at a time, so from
# then on a death counts only against the message that was in hand; after so many the message is taken for the
# cause.
RETURNS_SUSPECT = 3
