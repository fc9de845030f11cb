"""How far the runner of this process is: `svc.strategies.progress`, answered by who holds the
lease."""

from typing import Protocol

from tapewire.log import Unavailable
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.progress import GetProgress, Progress


class StrategiesRunner(Protocol):
    """A runner that began."""

    async def get_progress(self) -> Progress:
        """Raises LogError."""


class RunnerProgress:
    """Told of each runner that begins, and answers for the last one."""

    def __init__(self) -> None:
        self._runner: StrategiesRunner | None = None

    def on_runner_started(self, runner: StrategiesRunner) -> None:
        """This one works from now on."""
        self._runner = runner

    async def get_progress(self, _request: GetProgress, _context: RequestContext) -> Progress:
        """The endpoint. Raises LogError."""
        if self._runner is None:
            raise Unavailable("the runner has not begun yet")
        return await self._runner.get_progress()
