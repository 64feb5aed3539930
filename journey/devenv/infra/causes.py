"""Finds in a program's log why it did not start: the cause instead of the stack trace."""

import json
import re
from pathlib import Path

_CAUSES = (
    (r"No space left on device|ENOSPC|OutOfDiskSpace|disk of MongoDB is full", "the disk is full",
     "free space on the disk that holds the data, then start again; confirmed data is not lost"),
    (r"[Aa]ddress already in use|EADDRINUSE|eaddrinuse", "another program uses its port",
     "end the other program, or choose another port"),
    (r"Cannot allocate "
    r"memory|MemoryError|eheap_alloc", "there is not enough memory", "end programs, or add memory"),
    (r"Permission denied|EACCES|eacces", "it has no permission to read or write one of its files",
     "give its user permission for the data directory"),
    (r"Authentication failed|refuses the user", "the user or the password is wrong",
     "correct the user and the password in its address"),
    (r"has no such virtual "
    r"host|vhost .* not found", "the broker has no such virtual host", "`journey topology apply`"),
    (r"MongoDB does not answer", "MongoDB does not respond", "check that MongoDB is running and has a "
    "primary"),
)  # fmt: skip
_CHARS_MAX = 300


def cause_of(log: str) -> tuple[str, str] | None:
    """Cause and remedy of the last known error in a log; None if there is none."""
    found = [
        (match.start(), cause, helps)
        for pattern, cause, helps in _CAUSES
        for match in re.finditer(pattern, log)
    ]
    return max(found)[1:] if found else None


def last_message(log: str) -> str:
    """The last log entry, without a stack trace."""
    for line in reversed(log.splitlines()):
        found_text = _text_of(line.strip())
        if found_text:
            return found_text[:_CHARS_MAX]
    return "it wrote nothing"


def _text_of(line: str) -> str:
    """Event and error of a structured log line; other lines unchanged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict):
        return line
    text = ": ".join(str(entry[name]) for name in ("event", "msg", "error", "for_") if entry.get(name))
    exception = str(entry.get("exception", "")).strip().splitlines()
    return ": ".join(filter(None, (text, exception[-1] if exception else "")))


def why(log: Path) -> tuple[str, str]:
    """Why a program did not start, by its log, and the remedy."""
    try:
        text = log.read_text(errors="replace")[-20_000:]
    except OSError:
        return "it wrote no log", "start it again"
    if known := cause_of(text):
        return known[0], f"{known[1]} (its log: {log})"
    return last_message(text), f"check its log: {log}"
