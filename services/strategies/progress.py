"""How far the runner of this process is: `svc.strategies.progress`, answered by who holds the
lease."""

from typing import Protocol

from tapewire.log import Unavailable
from tapewire.runtime import Context
from tapewire.runtime.contracts.progress import AskProgress, Progress


class Working(Protocol):
    """A runner that began."""

    async def progress(self) -> Progress:
        """Raises LogError."""


class RunnersProgress:
    """Told of each runner that begins, and answers for the last one."""

    def __init__(self) -> None:
        self._runner: Working | None = None

    def begins(self, runner: Working) -> None:
        """This one works from now on."""
        self._runner = runner

    async def progress(self, _request: AskProgress, _context: Context) -> Progress:
        """The endpoint. Raises LogError."""
        if self._runner is None:
            raise Unavailable("the runner has not begun yet")
        return await self._runner.progress()
