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

READY_FD = "TAPEWIRE_READY_FD"
"""Names the descriptor that a service writes a line to when it is ready."""
LINE_BYTES = 1 << 16
"""A longer line of a child comes out in pieces."""
LAST_WORDS_SECONDS = 1.0
"""How long to read on what a process has left behind at its end."""

_TETHER = Path(__file__).with_name("tether.py")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What to start: `argv[0]` is a path. `fds` are passed on. It gets `stop_seconds` to end after
    a SIGTERM. `probe` returns when a started process is ready; without one it says so itself,
    through the descriptor that READY_FD names. `why` finds its last words, after its end."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    fds: tuple[int, ...] = ()
    stop_seconds: float = 10.0
    probe: Callable[[], Awaitable[None]] | None = None
    why: Callable[[], str] | None = None


class Child:
    """A running process. Made by `start`; its end is told by `exited`."""

    def __init__(
        self, part: Part, process: asyncio.subprocess.Process, said: asyncio.StreamReader
    ) -> None:
        self.part = part
        self.pid = process.pid
        self._process = process
        self._said = said

    @classmethod
    async def start(cls, part: Part, line: Callable[[str, str], None]) -> "Child":
        """Start a process of `part`, whose lines go to `line`. Raises OSError."""
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *part.argv),
                env={**part.env, READY_FD: str(writing)},
                pass_fds=(writing, *part.fds),
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
        child = cls(part, process, await _reader(reading))
        child._pump = asyncio.create_task(child._repeat(line), name=f"lines of {part.name}")
        return child

    _pump: asyncio.Task[None]

    async def until_ready(self) -> None:
        """Return when it is ready. It may never be: watch `exited` as well. Raises what the probe
        raises."""
        if self.part.probe is not None:
            await self.part.probe()
        elif not await self._said.readline():
            await asyncio.Event().wait()

    async def exited(self) -> int:
        """The exit code, negative for a signal, when it ended and all that it wrote was passed
        on."""
        code = await self._process.wait()
        self._signal(signal.SIGKILL)  # whatever it started itself
        await asyncio.wait({self._pump}, timeout=LAST_WORDS_SECONDS)
        self._pump.cancel()
        return code

    def terminate(self) -> None:
        """Ask it to end; a stopped one is woken to hear that."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _repeat(self, line: Callable[[str, str], None]) -> None:
        output, rest = self._process.stdout, b""
        if output is None:
            return
        while data := await output.read(LINE_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            for text in lines:
                line(self.part.name, text.decode(errors="replace"))
            if len(rest) >= LINE_BYTES:
                line(self.part.name, rest.decode(errors="replace"))
                rest = b""
        if rest:
            line(self.part.name, rest.decode(errors="replace"))


async def _reader(descriptor: int) -> asyncio.StreamReader:
    """Reads the pipe `descriptor`, which is closed at its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader
