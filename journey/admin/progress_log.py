"""Where a long task reports its progress."""

from collections.abc import Callable

Log = Callable[[str], None]
