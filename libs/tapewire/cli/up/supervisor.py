"""Starts the parts in order and stops them in reverse; in between each part's keeper minds it.

Parts come in stages. A stage's parts start together, when all of the stage before are ready, and
stop together, when all of the stage after are gone: nobody is started before, or outlives, what it
stands on.
"""

import asyncio
from collections.abc import Callable, Sequence

from tapewire.cli.up.child_process import ProcessSpec
from tapewire.cli.up.console import Console
from tapewire.cli.up.restart_policy import RestartPolicy
from tapewire.cli.up.restarting_process import RestartingProcess


class Supervisor:
    """All parts, from `start` to `stop`. `changed` is called whenever `pids` or `ready` change."""

    def __init__(
        self,
        stages: Sequence[Sequence[ProcessSpec]],
        console: Console,
        *,
        restart_policy: RestartPolicy | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        restart_policy = restart_policy or RestartPolicy()
        self._stages = [
            [
                RestartingProcess(part, console, restart_policy=restart_policy, on_change=on_change)
                for part in stage
            ]
            for stage in stages
        ]

    @property
    def pids(self) -> dict[str, int]:
        """The processes there are now, by part."""
        return {keeper.spec.name: keeper.child.pid for keeper in self._processes() if keeper.child}

    @property
    def ready_names(self) -> list[str]:
        """The parts that are ready now."""
        return [keeper.spec.name for keeper in self._processes() if keeper.is_ready]

    async def start(self) -> None:
        """Return when all parts are ready. Call `stop` afterwards, whatever became of this.

        Raises:
            StartFailed: a part cannot be started; says which and why.
        """
        for stage in self._stages:
            results = await asyncio.gather(
                *(keeper.start() for keeper in stage), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    async def stop(self) -> bool:
        """Stop all parts, last stage first; whether all went by themselves."""
        clean = True
        for stage in reversed(self._stages):
            clean &= all(await asyncio.gather(*(keeper.stop() for keeper in stage)))
        return clean

    def kill(self) -> None:
        """End everything now; a `stop` under way returns at once."""
        for keeper in self._processes():
            keeper.kill()

    def _processes(self) -> list[RestartingProcess]:
        return [keeper for stage in self._stages for keeper in stage]
