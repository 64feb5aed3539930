"""A database in memory in which another instance always writes first."""

from collections.abc import Sequence

from chassis.store.memory import MemoryStore
from chassis.store.protocol import Change


class ContendedStore(MemoryStore):
    """While `contended`, each write meets a newer version, as if another instance had just written it."""

    def __init__(self) -> None:
        super().__init__()
        self.contended = True

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        return not self.contended and await super().save(changes, together=together)
