"""One child process, from its start to its exit.

The child runs in a session of its own, so a Ctrl-C at the terminal reaches only `up`, and it is
killed when `up` ends (`parent_death_signal`). It reports that it is ready through a pipe, or is
probed. Its output, stdout and stderr alike, is passed on line by line.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from tapewire.cli.up import parent_death_signal

READY_FD_VARIABLE = "TAPEWIRE_READY_FD"
"""The environment variable that names the descriptor to which a ready service writes a line."""
MAX_LINE_BYTES = 1 << 16
"""A longer line of output is passed on in pieces."""
OUTPUT_DRAIN_SECONDS = 1.0
"""How long the output of a process is still read after its exit."""

OnLine = Callable[[str, str], None]
"""Called with the name of a process and a line of its output."""


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to start, and how to stop it.

    Args:
        argv: The command; `argv[0]` is a path.
        inherited_fds: Descriptors that stay open in the child.
        stop_timeout_seconds: The time between SIGTERM and SIGKILL.
        readiness_probe: Returns when the process is ready. Without one, the process writes a line
            to the descriptor that `READY_FD_VARIABLE` names.
        explain_exit: Returns the reason for an unexpected exit, or an empty text.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    inherited_fds: tuple[int, ...] = ()
    stop_timeout_seconds: float = 10.0
    readiness_probe: Callable[[], Awaitable[None]] | None = None
    explain_exit: Callable[[], str] | None = None


class ChildProcess:
    """A running process. Create it with `start`."""

    def __init__(
        self,
        spec: ProcessSpec,
        process: asyncio.subprocess.Process,
        ready_reader: asyncio.StreamReader,
        on_line: OnLine,
    ) -> None:
        self.spec = spec
        self.pid = process.pid
        self.is_held = False
        """Whether the service reported that it holds, and why it has logged."""
        self._process = process
        self._ready_reader = ready_reader
        self._output_task = asyncio.create_task(
            self._forward_output(on_line), name=f"output of {spec.name}"
        )

    @classmethod
    async def start(cls, spec: ProcessSpec, on_line: OnLine) -> "ChildProcess":
        """Start a process. Raises OSError."""
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *parent_death_signal.wrap_command(spec.argv),
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
        return cls(spec, process, await _open_pipe_reader(reading), on_line)

    async def wait_ready(self) -> None:
        """Return when the process is ready or holds; raise what its probe raises.

        A process that exits before it is ready never returns here: wait for its exit as well.
        """
        if self.spec.readiness_probe is not None:
            await self.spec.readiness_probe()
        else:
            line = await self._ready_reader.readline()
            if not line:
                await asyncio.Event().wait()
            self.is_held = line == b"held\n"

    async def wait_exited(self) -> int:
        """Return the exit code, negative for a signal, once all output is passed on."""
        code = await self._process.wait()
        self._send_signal(signal.SIGKILL)  # also kills what the process has started
        await asyncio.wait({self._output_task}, timeout=OUTPUT_DRAIN_SECONDS)
        self._output_task.cancel()
        return code

    def terminate(self) -> None:
        """Send SIGTERM, and SIGCONT in case the process is stopped."""
        self._send_signal(signal.SIGTERM)
        self._send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._send_signal(signal.SIGKILL)

    def _send_signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _forward_output(self, on_line: OnLine) -> None:
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


def describe_exit(code: int) -> str:
    """Describe the exit of a process; a negative `code` is the number of a signal."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


async def _open_pipe_reader(descriptor: int) -> asyncio.StreamReader:
    """Return a reader of the pipe `descriptor`, which is closed at its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader
