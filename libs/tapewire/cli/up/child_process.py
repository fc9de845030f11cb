"""One process of a part, from its start to its end.

It runs in a session of its own, so that a Ctrl-C at the terminal reaches `up` alone, and dies with
`up` (`tether`). It says that it is ready through a pipe, or is probed. What it writes, to stdout or
stderr, comes out of `up` line by line.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

READY_FD_VARIABLE = "TAPEWIRE_READY_FD"
"""Names the descriptor that a service writes a line to when it is ready."""
MAX_LINE_BYTES = 1 << 16
"""A longer line of a child comes out in pieces."""
OUTPUT_DRAIN_SECONDS = 1.0
"""How long to read on what a process has left behind at its end."""

_PARENT_DEATH_SCRIPT = Path(__file__).with_name("parent_death_signal.py")


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to start: `argv[0]` is a path. `fds` are passed on. It gets `stop_seconds` to end after
    a SIGTERM. `probe` returns when a started process is ready; without one it says so itself,
    through the descriptor that READY_FD names. `why` finds its last words, after its end."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    inherited_fds: tuple[int, ...] = ()
    stop_timeout_seconds: float = 10.0
    readiness_probe: Callable[[], Awaitable[None]] | None = None
    explain_exit: Callable[[], str] | None = None


class ChildProcess:
    """A running process. Made by `start`; its end is told by `exited`."""

    def __init__(
        self,
        spec: ProcessSpec,
        process: asyncio.subprocess.Process,
        ready_reader: asyncio.StreamReader,
    ) -> None:
        self.spec = spec
        self.pid = process.pid
        self._process = process
        self._ready_reader = ready_reader

    @classmethod
    async def start(cls, spec: ProcessSpec, on_line: Callable[[str, str], None]) -> "ChildProcess":
        """Start a process of `part`, whose lines go to `line`. Raises OSError."""
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-I",
                    "-S",
                    str(_PARENT_DEATH_SCRIPT),
                    str(os.getpid()),
                    *spec.argv,
                ),
                env={**spec.env, READY_FD_VARIABLE: str(writing)},
                pass_fds=(writing, *spec.inherited_fds),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        child = cls(spec, process, await _open_pipe_reader(reading))
        child._output_task = asyncio.create_task(
            child._forward_output(on_line), name=f"lines of {spec.name}"
        )
        return child

    _output_task: asyncio.Task[None]

    async def wait_ready(self) -> None:
        """Return when it is ready. It may never be: watch `exited` as well. Raises what the probe
        raises."""
        if self.spec.readiness_probe is not None:
            await self.spec.readiness_probe()
        elif not await self._ready_reader.readline():
            await asyncio.Event().wait()

    async def wait_exited(self) -> int:
        """The exit code, negative for a signal, when it ended and all that it wrote was passed
        on."""
        code = await self._process.wait()
        self._send_signal(signal.SIGKILL)  # whatever it started itself
        await asyncio.wait({self._output_task}, timeout=OUTPUT_DRAIN_SECONDS)
        self._output_task.cancel()
        return code

    def terminate(self) -> None:
        """Ask it to end; a stopped one is woken to hear that."""
        self._send_signal(signal.SIGTERM)
        self._send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it now."""
        self._send_signal(signal.SIGKILL)

    def _send_signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _forward_output(self, on_line: Callable[[str, str], None]) -> None:
        output, rest = self._process.stdout, b""
        if output is None:
            return
        while data := await output.read(MAX_LINE_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            for text in lines:
                on_line(self.spec.name, text.decode(errors="replace"))
            if len(rest) >= MAX_LINE_BYTES:
                on_line(self.spec.name, rest.decode(errors="replace"))
                rest = b""
        if rest:
            on_line(self.spec.name, rest.decode(errors="replace"))


async def _open_pipe_reader(descriptor: int) -> asyncio.StreamReader:
    """Reads the pipe `descriptor`, which is closed at its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader
