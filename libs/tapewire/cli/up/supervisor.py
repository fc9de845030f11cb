"""Starts processes stage by stage, restarts those that die, and stops them in reverse order.

The processes of a stage start together when all of the previous stage are ready, and stop together
when all of the next stage are gone. No process starts before the processes it depends on, and none
outlives them. Each process has a `RestartingProcess`, whose single task starts it, watches it and
restarts it, so nothing is started after a stop was requested. Start at `Supervisor`, then read
`RestartingProcess._run`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from tapewire.cli.errors import EXIT_USAGE
from tapewire.cli.up.child_process import ChildProcess, ProcessSpec, describe_exit
from tapewire.cli.up.console import Console, LogLevel

SLOW_START_WARNING_SECONDS = 15.0
"""A process that is not ready after this time is logged, once a start."""


class RestartPolicy(msgspec.Struct, frozen=True):
    """How long to wait before a restart, and when to give up.

    The delay doubles from `initial_delay_seconds` to `max_delay_seconds`, and starts over after the
    process was ready for `reset_after_seconds`. A process that exits `max_failed_starts` times
    without ever being ready is given up.
    """

    initial_delay_seconds: float = 0.25
    max_delay_seconds: float = 10.0
    reset_after_seconds: float = 30.0
    max_failed_starts: int = 5

    def next_delay_seconds(self, previous_delay_seconds: float, ready_seconds: float) -> float:
        """Return the delay before the next start, from the previous delay (0: none) and the time
        for which the process was ready since then."""
        if previous_delay_seconds <= 0 or ready_seconds >= self.reset_after_seconds:
            return self.initial_delay_seconds
        return min(previous_delay_seconds * 2, self.max_delay_seconds)


class StartFailed(Exception):
    """A process cannot be started and a retry would not help. The message says which and why."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RestartingProcess:
    """A process that is restarted when it ends, from `start` to `stop`.

    `on_change` is called whenever the process starts, becomes ready or exits.
    """

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
        """Return when the process is ready for the first time.

        Raises:
            StartFailed: The process exited again and again, or for a reason that persists.
        """
        self._task = asyncio.create_task(self._run(), name=f"supervision of {self.spec.name}")
        await self._start_finished.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> bool:
        """Stop the process and wait for its exit. Return False if it had to be killed."""
        self._stop_requested.set()
        if self._task is not None:
            await self._task
        return self._stopped_cleanly

    def kill(self) -> None:
        """Kill the process at once and do not restart it."""
        self._was_killed, self._stopped_cleanly = True, False
        self._stop_requested.set()
        if self.child is not None:
            self.child.kill()

    async def _run(self) -> None:
        try:
            while not self._stop_requested.is_set():
                ready_seconds, exit_text = await self._run_once()
                if self._stop_requested.is_set():
                    break
                self._handle_exit(exit_text, ready_seconds)
                if self._failure is not None:
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop_requested.wait(), self._delay_seconds)
        except Exception as error:
            self._failure = error
            self._log("process.supervision_failed", f"is no longer supervised: {error!r}", "error")
        finally:
            self._start_finished.set()

    async def _run_once(self) -> tuple[float, str]:
        """Run one process to its exit; return how long it was ready and what ended it."""
        try:
            child = await ChildProcess.start(self.spec, self._console.write_child_line)
        except OSError as error:
            return 0.0, f"could not be started: {error}"
        if self._was_killed:
            child.kill()
        self._set_child(child, is_ready=False)
        try:
            ready_seconds, code = await self._watch_child(child)
        finally:
            self._set_child(None, is_ready=False)
        if code == EXIT_USAGE and not self._was_ready and not self._stop_requested.is_set():
            self._failure = self._failure or StartFailed(
                f"{self.spec.name} cannot run as it is configured; see above", EXIT_USAGE
            )
        return ready_seconds, describe_exit(code)

    async def _watch_child(self, child: ChildProcess) -> tuple[float, int]:
        clock = asyncio.get_running_loop().time
        exited = _create_task(child.wait_exited())
        stop = _create_task(self._stop_requested.wait())
        ready = _create_task(self._wait_ready(child))
        try:
            await asyncio.wait({exited, stop, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready_since = clock()
            if ready.done() and ready.result() and not exited.done():
                self._on_ready(child)
                await asyncio.wait({exited, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not exited.done():
                await self._stop_child(child, exited)
            return (clock() - ready_since if self.is_ready else 0.0), exited.result()
        finally:
            for task in (exited, stop, ready):
                task.cancel()

    async def _wait_ready(self, child: ChildProcess) -> bool:
        """Return True when the process is ready, False if its probe failed for good."""
        seconds = SLOW_START_WARNING_SECONDS
        warning = asyncio.get_running_loop().call_later(
            seconds,
            lambda: self._log(
                "process.start_slow", f"is not ready after {seconds:g} s; waiting", "warning"
            ),
        )
        try:
            await child.wait_ready()
        except StartFailed as error:
            self._failure = None if self._was_ready else error
            return False
        except Exception as error:
            self._log("process.probe_failed", f"was started, but {error}", "error")
            return False
        finally:
            warning.cancel()
        return True

    async def _stop_child(self, child: ChildProcess, exited: "asyncio.Task[int]") -> None:
        timeout = self.spec.stop_timeout_seconds
        child.terminate()
        await asyncio.wait({exited}, timeout=timeout)
        if not exited.done():
            self._stopped_cleanly = False
            text = f"did not stop within {timeout:g} s and is killed"
            self._log("process.stop_timed_out", text, "warning")
            child.kill()
        await asyncio.wait({exited})

    def _handle_exit(self, exit_text: str, ready_seconds: float) -> None:
        """Log an unexpected exit, then set the delay of the next start or the final failure."""
        self._failed_starts = 0 if self._was_ready else self._failed_starts + 1
        reason = self.spec.explain_exit() if self.spec.explain_exit is not None else ""
        exit_text = f"{exit_text} ({reason})" if reason else exit_text
        if self._failure is None and self._failed_starts >= self._restart_policy.max_failed_starts:
            self._failure = StartFailed(
                f"{self.spec.name} was started {self._failed_starts} times and never got ready; "
                f"the last one {exit_text}"
            )
        if self._failure is not None:
            self._log("process.exited", exit_text, "error")
            return
        self._delay_seconds = self._restart_policy.next_delay_seconds(
            self._delay_seconds, ready_seconds
        )
        self._log(
            "process.exited",
            f"{exit_text}; starting it again in {self._delay_seconds:g} s",
            "warning",
            delay_seconds=self._delay_seconds,
            ready_seconds=ready_seconds,
        )

    def _on_ready(self, child: ChildProcess) -> None:
        if child.is_held:
            self._log("process.held", "holds; its log says why", "error", pid=child.pid)
        else:
            text = f"is ready{' again' if self._was_ready else ''}"
            self._log("process.ready", text, "info", pid=child.pid)
        self._was_ready = True
        self._set_child(child, is_ready=True)
        self._start_finished.set()

    def _set_child(self, child: ChildProcess | None, *, is_ready: bool) -> None:
        self.child, self.is_ready = child, is_ready
        self._on_change()

    def _log(self, event: str, text: str, level: LogLevel, **fields: Any) -> None:
        self._console.log(event, f"{self.spec.name} {text}", level, name=self.spec.name, **fields)


class Supervisor:
    """All processes, from `start` to `stop`.

    `on_change` is called whenever `pids` or `ready_names` change.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[ProcessSpec]],
        console: Console,
        *,
        restart_policy: RestartPolicy | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        policy = restart_policy or RestartPolicy()
        self._stages = [
            [
                RestartingProcess(spec, console, restart_policy=policy, on_change=on_change)
                for spec in stage
            ]
            for stage in stages
        ]

    @property
    def pids(self) -> dict[str, int]:
        """The pids of the running processes by name."""
        return {one.spec.name: one.child.pid for one in self._processes() if one.child}

    @property
    def ready_names(self) -> list[str]:
        """The names of the processes that are ready."""
        return [one.spec.name for one in self._processes() if one.is_ready]

    async def start(self) -> None:
        """Return when all processes are ready. Call `stop` afterwards, even if this fails.

        Raises:
            StartFailed: A process cannot be started.
        """
        for stage in self._stages:
            results = await asyncio.gather(*(one.start() for one in stage), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    async def stop(self) -> bool:
        """Stop all processes, last stage first. Return False if one had to be killed."""
        clean = True
        for stage in reversed(self._stages):
            clean &= all(await asyncio.gather(*(one.stop() for one in stage)))
        return clean

    def kill(self) -> None:
        """Kill all processes now. A `stop` under way then returns at once."""
        for one in self._processes():
            one.kill()

    def _processes(self) -> list[RestartingProcess]:
        return [one for stage in self._stages for one in stage]


def _create_task(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    return asyncio.create_task(work)
