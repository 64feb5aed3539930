"""Why a program did not start, found in what it wrote: people need the cause, not the stack that it came through."""

import json
import re
from pathlib import Path

_CAUSES = (
    (r"No space left on device|ENOSPC|OutOfDiskSpace|disk of MongoDB is full", "the disk is full",
     "make room on the disk that holds the data, then start again; nothing that was confirmed is lost"),
    (r"[Aa]ddress already in use|EADDRINUSE|eaddrinuse", "another program listens on its port",
     "end the other program, or name another port"),
    (r"Cannot allocate memory|MemoryError|eheap_alloc", "there is no memory left", "end other programs, or add memory"),
    (r"Permission denied|EACCES|eacces", "it may not read or write one of its files",
     "give its user the right to the data directory"),
    (r"Authentication failed|refuses the user", "the user or the password is refused",
     "correct the user and the password in its address"),
    (r"has no such virtual host|vhost .* not found", "the broker has no such virtual host", "`journey topology apply`"),
    (r"MongoDB does not answer", "MongoDB does not answer", "see that MongoDB runs and has a primary"),
)  # fmt: skip
_CHARS_MAX = 300


def cause_of(log: str) -> tuple[str, str] | None:
    """The cause and what helps, if it is one that we know; the last one counts."""
    found = [(match.start(), cause, helps) for words, cause, helps in _CAUSES for match in re.finditer(words, log)]
    return max(found)[1:] if found else None


def last_word(log: str) -> str:
    """The last thing that a program said, without a stack."""
    for line in reversed(log.splitlines()):
        said = _said(line.strip())
        if said:
            return said[:_CHARS_MAX]
    return "it wrote nothing"


def _said(line: str) -> str:
    """Of a line of a structured log the event and the error."""
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
    """What a program that did not start says in its log, and what helps."""
    try:
        text = log.read_text(errors="replace")[-20_000:]
    except OSError:
        return "it wrote no log", "start it again"
    if known := cause_of(text):
        return known[0], f"{known[1]} (its log: {log})"
    return last_word(text), f"see its log: {log}"
