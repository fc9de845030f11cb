"""Keeps one part running: starts it, watches it, and starts it again when it dies.

One task does it all, so that nothing is started after the end was asked for. Read `_keep`, then
`_life`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from tapewire.cli.errors import EXIT_USAGE
from tapewire.cli.up.child_process import ChildProcess, ProcessSpec
from tapewire.cli.up.console import Console
from tapewire.cli.up.restart_policy import RestartPolicy, describe_exit

SLOW_START_WARNING_SECONDS = 15.0
"""A part that is not ready after this long is mentioned, once a start."""


class StartFailed(Exception):
    """A part cannot be started, and trying on would not help; says which and why."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RestartingProcess:
    """One part, kept running from `start` to `stop`. `changed` is called when a process came, got
    ready or went."""

    def __init__(
        self,
        spec: ProcessSpec,
        console: Console,
        *,
        restart_policy: RestartPolicy,
        on_change: Callable[[], None],
    ) -> None:
        self.spec = spec
        self.child: ChildProcess | None = None
        self.is_ready = False
        self._console = console
        self._restart_policy = restart_policy
        self._on_change = on_change
        self._failed_starts = 0
        self._delay_seconds = 0.0
        self._was_ready = False
        self._failure: BaseException | None = None
        self._stopped_cleanly = True
        self._was_killed = False
        self._stop_requested = asyncio.Event()
        self._start_finished = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the part is ready for the first time.

        Raises:
            StartFailed: it ended again and again, or for a reason that will not go away.
        """
        self._task = asyncio.create_task(self._run(), name=f"keeper of {self.spec.name}")
        await self._start_finished.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> bool:
        """End the part and return when it is gone; whether it went by itself in time."""
        self._stop_requested.set()
        if self._task is not None:
            await self._task
        return self._stopped_cleanly

    def kill(self) -> None:
        """End the part at once, whatever it is doing."""
        self._was_killed, self._stopped_cleanly = True, False
        self._stop_requested.set()
        if self.child is not None:
            self.child.kill()

    async def _run(self) -> None:
        try:
            while not self._stop_requested.is_set():
                ran, end = await self._run_once()
                if self._stop_requested.is_set():
                    break
                self._handle_exit(end, ran)
                if self._failure is not None:
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop_requested.wait(), self._delay_seconds)
        except Exception as error:
            self._failure = error
            self._log(f"is not minded any more: {error!r}", "error")
        finally:
            self._start_finished.set()

    async def _run_once(self) -> tuple[float, str]:
        """One process from start to end: how long it was ready, in seconds, and its end."""
        try:
            child = await ChildProcess.start(self.spec, self._console.write_child_line)
        except OSError as error:
            return 0.0, f"could not be started: {error}"
        if self._was_killed:
            child.kill()
        self._set_child(child, is_ready=False)
        try:
            ran, code = await self._watch_child(child)
        finally:
            self._set_child(None, is_ready=False)
        if code == EXIT_USAGE and not self._was_ready and not self._stop_requested.is_set():
            self._failure = self._failure or StartFailed(
                f"{self.spec.name} cannot run as it is configured; see above", EXIT_USAGE
            )
        return ran, describe_exit(code)

    async def _watch_child(self, child: ChildProcess) -> tuple[float, int]:
        clock = asyncio.get_running_loop().time
        gone, end = _create_task(child.wait_exited()), _create_task(self._stop_requested.wait())
        ready = _create_task(self._wait_ready(child))
        try:
            await asyncio.wait({gone, end, ready}, return_when=asyncio.FIRST_COMPLETED)
            began = clock()
            if ready.done() and ready.result() and not gone.done():
                self._on_ready(child)
                await asyncio.wait({gone, end}, return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                await self._stop_child(child, gone)
            return (clock() - began if self.is_ready else 0.0), gone.result()
        finally:
            for task in (gone, end, ready):
                task.cancel()

    async def _wait_ready(self, child: ChildProcess) -> bool:
        """True when it is; False when its probe found that it never will be."""
        notice = asyncio.get_running_loop().call_later(
            SLOW_START_WARNING_SECONDS,
            lambda: self._log(
                f"is not ready after {SLOW_START_WARNING_SECONDS:g} s; waiting", "warning"
            ),
        )
        try:
            await child.wait_ready()
        except StartFailed as error:
            self._failure = None if self._was_ready else error
            return False
        except Exception as error:
            self._log(f"was started, but {error}", "error")
            return False
        finally:
            notice.cancel()
        return True

    async def _stop_child(self, child: ChildProcess, gone: "asyncio.Task[int]") -> None:
        child.terminate()
        await asyncio.wait({gone}, timeout=self.spec.stop_timeout_seconds)
        if not gone.done():
            self._stopped_cleanly = False
            self._log(
                f"did not stop within {self.spec.stop_timeout_seconds:g} s and is killed", "warning"
            )
            child.kill()
        await asyncio.wait({gone})

    def _handle_exit(self, end: str, ran: float) -> None:
        """What a death means: another try after a delay, or none."""
        self._failed_starts = 0 if self._was_ready else self._failed_starts + 1
        why = self.spec.explain_exit() if self.spec.explain_exit is not None else ""
        end = f"{end} ({why})" if why else end
        if self._failure is None and self._failed_starts >= self._restart_policy.max_failed_starts:
            self._failure = StartFailed(
                f"{self.spec.name} was started {self._failed_starts} times and never got ready; "
                f"the last one {end}"
            )
        if self._failure is not None:
            self._log(end, "error")
            return
        self._delay_seconds = self._restart_policy.next_delay_seconds(self._delay_seconds, ran)
        self._log(
            f"{end}; starting it again in {self._delay_seconds:g} s",
            "warning",
            delay=self._delay_seconds,
            ran=ran,
        )

    def _on_ready(self, child: ChildProcess) -> None:
        self._log(f"is ready{' again' if self._was_ready else ''}", "info", pid=child.pid)
        self._was_ready = True
        self._set_child(child, is_ready=True)
        self._start_finished.set()

    def _set_child(self, child: ChildProcess | None, *, is_ready: bool) -> None:
        self.child, self.is_ready = child, is_ready
        self._on_change()

    def _log(self, text: str, level: Any, **fields: Any) -> None:
        self._console.log(f"{self.spec.name} {text}", level, part=self.spec.name, **fields)


def _create_task(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    return asyncio.create_task(work)
