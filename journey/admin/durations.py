"""Durations in words, for people: in the terminal and on the operators' pages."""

from datetime import timedelta

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration(passed: timedelta) -> str:
    """With at most three digits: `12 ms`, `1.23 s`, `65 s`, and from 100 s on as `rough_duration`."""
    seconds = passed.total_seconds()
    if seconds < 0.0005:
        return "0 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    return rough_duration(passed)


def rough_duration(passed: timedelta) -> str:
    """In whole numbers of its largest unit: `119 s`, `2 min`, `2 d`. A negative duration is `0 s`."""
    seconds = max(0, int(passed.total_seconds()))
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
