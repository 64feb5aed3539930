"""All that happened in one run, in order. Two runs are equal if their traces are."""

import asyncio
from hashlib import sha256
from typing import Any

Note = tuple[float, str, str, str, Any]


class Trace:
    def __init__(self) -> None:
        self.notes: list[Note] = []

    def note(self, who: str, does: str, what: str, fault: Any = None) -> None:
        self.notes.append((asyncio.get_running_loop().time(), who, does, what, fault))

    @property
    def fingerprint(self) -> str:
        digest = sha256()
        for note in self.notes:
            digest.update(line(note).encode())
        return digest.hexdigest()

    def story(self, about: str = "") -> list[str]:
        """The run as text, one line each.

        With `about` (an order's short name) only its lines and the faults.
        """
        return [line(note) for note in self.notes if about in note[3] or note[4]]


def line(note: Note) -> str:
    at, who, does, what, fault = note
    return f"{at:12.6f} {who:<17} {does} {what}" + (f"   <<< {fault}" if fault else "")
