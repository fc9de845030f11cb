"""Keeps one part running: starts it, watches it, and starts it again when it dies.

One task does it all, so that nothing is started after the end was asked for. Read `_keep`, then
`_life`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from tapewire.cli.trouble import EXIT_USAGE
from tapewire.cli.up.child import Child, Part
from tapewire.cli.up.pace import Pace, ending
from tapewire.cli.up.voice import Voice

SLOW_START_SECONDS = 15.0
"""A part that is not ready after this long is mentioned, once a start."""


class StartFailed(Exception):
    """A part cannot be started, and trying on would not help; says which and why."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Keeper:
    """One part, kept running from `start` to `stop`. `changed` is called when a process came, got
    ready or went."""

    def __init__(
        self, part: Part, voice: Voice, *, pace: Pace, changed: Callable[[], None]
    ) -> None:
        self.part = part
        self.child: Child | None = None
        self.ready = False
        self._voice = voice
        self._pace = pace
        self._changed = changed
        self._deaths = 0
        self._delay = 0.0
        self._was_ready = False
        self._failure: BaseException | None = None
        self._clean = True
        self._killed = False
        self._ending = asyncio.Event()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the part is ready for the first time.

        Raises:
            StartFailed: it ended again and again, or for a reason that will not go away.
        """
        self._task = asyncio.create_task(self._keep(), name=f"keeper of {self.part.name}")
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> bool:
        """End the part and return when it is gone; whether it went by itself in time."""
        self._ending.set()
        if self._task is not None:
            await self._task
        return self._clean

    def kill(self) -> None:
        """End the part at once, whatever it is doing."""
        self._killed, self._clean = True, False
        self._ending.set()
        if self.child is not None:
            self.child.kill()

    async def _keep(self) -> None:
        try:
            while not self._ending.is_set():
                ran, end = await self._try()
                if self._ending.is_set():
                    break
                self._consider(end, ran)
                if self._failure is not None:
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), self._delay)
        except Exception as error:
            self._failure = error
            self._say(f"is not minded any more: {error!r}", "error")
        finally:
            self._settled.set()

    async def _try(self) -> tuple[float, str]:
        """One process from start to end: how long it was ready, in seconds, and its end."""
        try:
            child = await Child.start(self.part, self._voice.line)
        except OSError as error:
            return 0.0, f"could not be started: {error}"
        if self._killed:
            child.kill()
        self._is(child, ready=False)
        try:
            ran, code = await self._life(child)
        finally:
            self._is(None, ready=False)
        if code == EXIT_USAGE and not self._was_ready and not self._ending.is_set():
            self._failure = self._failure or StartFailed(
                f"{self.part.name} cannot run as it is configured; see above", EXIT_USAGE
            )
        return ran, ending(code)

    async def _life(self, child: Child) -> tuple[float, int]:
        clock = asyncio.get_running_loop().time
        gone, end = _task(child.exited()), _task(self._ending.wait())
        ready = _task(self._until_ready(child))
        try:
            await asyncio.wait({gone, end, ready}, return_when=asyncio.FIRST_COMPLETED)
            began = clock()
            if ready.done() and ready.result() and not gone.done():
                self._is_ready(child)
                await asyncio.wait({gone, end}, return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                await self._end(child, gone)
            return (clock() - began if self.ready else 0.0), gone.result()
        finally:
            for task in (gone, end, ready):
                task.cancel()

    async def _until_ready(self, child: Child) -> bool:
        """True when it is; False when its probe found that it never will be."""
        notice = asyncio.get_running_loop().call_later(
            SLOW_START_SECONDS,
            lambda: self._say(f"is not ready after {SLOW_START_SECONDS:g} s; waiting", "warning"),
        )
        try:
            await child.until_ready()
        except StartFailed as error:
            self._failure = None if self._was_ready else error
            return False
        except Exception as error:
            self._say(f"was started, but {error}", "error")
            return False
        finally:
            notice.cancel()
        return True

    async def _end(self, child: Child, gone: "asyncio.Task[int]") -> None:
        child.terminate()
        await asyncio.wait({gone}, timeout=self.part.stop_seconds)
        if not gone.done():
            self._clean = False
            self._say(f"did not stop within {self.part.stop_seconds:g} s and is killed", "warning")
            child.kill()
        await asyncio.wait({gone})

    def _consider(self, end: str, ran: float) -> None:
        """What a death means: another try after a delay, or none."""
        self._deaths = 0 if self._was_ready else self._deaths + 1
        why = self.part.why() if self.part.why is not None else ""
        end = f"{end} ({why})" if why else end
        if self._failure is None and self._deaths >= self._pace.tries:
            self._failure = StartFailed(
                f"{self.part.name} was started {self._deaths} times and never got ready; "
                f"the last one {end}"
            )
        if self._failure is not None:
            self._say(end, "error")
            return
        self._delay = self._pace.delay(self._delay, ran)
        self._say(
            f"{end}; starting it again in {self._delay:g} s", "warning", delay=self._delay, ran=ran
        )

    def _is_ready(self, child: Child) -> None:
        self._say(f"is ready{' again' if self._was_ready else ''}", "info", pid=child.pid)
        self._was_ready = True
        self._is(child, ready=True)
        self._settled.set()

    def _is(self, child: Child | None, *, ready: bool) -> None:
        self.child, self.ready = child, ready
        self._changed()

    def _say(self, text: str, level: Any, **fields: Any) -> None:
        self._voice.say(f"{self.part.name} {text}", level, part=self.part.name, **fields)


def _task(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    return asyncio.create_task(work)
