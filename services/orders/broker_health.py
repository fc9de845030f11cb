"""What is wrong with the broker of this process, for `tapewire status` and `/health`."""

import asyncio
from collections.abc import Callable

import structlog

POLL_SECONDS = 0.2
"""How soon a change is reported; a problem that comes and goes in less time is not."""

logger = structlog.get_logger("orders.broker")


class BrokerHealth:
    """Whether the broker runs, and what it says of itself."""

    def __init__(self) -> None:
        self._problem: str | None = None
        self._failure: str | None = None

    def set_problem(self, reason: str | None) -> None:
        """The broker cannot work now, or can again."""
        if reason != self._problem:
            if reason is None:
                logger.info("broker.recovered")
            else:
                logger.warning("broker.problem", reason=reason)
        self._problem = reason

    def set_failure(self, reason: str | None) -> None:
        """The broker ended, and is made again; None when that has helped."""
        self._failure = reason

    def clear(self) -> None:
        """This process has no broker."""
        self._problem = self._failure = None

    def find_problem(self) -> str | None:
        """What the broker says of itself; None if it can work."""
        return None if self._problem is None else f"the broker: {self._problem}"

    def find_failure(self) -> str | None:
        """Why the broker ended; None while it runs."""
        return None if self._failure is None else f"the broker failed: {self._failure}"

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` when a problem or failure comes, changes or goes, until cancelled."""
        before = (self.find_problem(), self.find_failure())
        while True:
            await asyncio.sleep(POLL_SECONDS)
            before, last = (self.find_problem(), self.find_failure()), before
            if before != last:
                on_change()
