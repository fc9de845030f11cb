"""A store in memory in which something else happens before a write."""

from collections.abc import Awaitable, Callable, Mapping

from tapewire.log.memory import MemoryLatestValueStore


class InterruptedStore(MemoryLatestValueStore):
    """Calls one of `before_write` before each of the first writes."""

    before_write: tuple[Callable[[], Awaitable[object]], ...] = ()

    async def put_all(
        self, values: Mapping[str, bytes], expected_revisions: Mapping[str, int] | None = None
    ) -> int:
        if self.before_write:
            first, *rest = self.before_write
            self.before_write = tuple(rest)
            await first()
        return await super().put_all(values, expected_revisions)
