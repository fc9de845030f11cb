"""A program at a terminal of its own, for tests that type keys and read the screen."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

TIMEOUT_SECONDS = 60.0
_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]")


class Terminal:
    """A running program and the end of the terminal that a person would sit at."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        columns: int,
        rows: int,
        stdout: int | None = None,
    ) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(columns, rows)
        self.modes = termios.tcgetattr(self._slave)
        """The modes of the terminal before the program was started."""
        self._output = b""
        self.process = subprocess.Popen(
            command,
            env={"TERM": "xterm-256color", **env},
            stdin=self._slave,
            stdout=self._slave if stdout is None else stdout,
            stderr=self._slave,
            start_new_session=True,
        )

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, as dragging the corner of a window does."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def type(self, keys: str) -> None:
        """Type `keys`. What was shown before does not count for `wait_for` any more."""
        self._output = b""
        os.write(self._master, keys.encode())

    def wait_for(self, *texts: str) -> str:
        """Read until all `texts` were shown since the last key. Returns what was shown."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not all(text in self.text() for text in texts):
            if time.monotonic() > deadline or not self._read():
                raise AssertionError(f"not shown: {texts}; shown:\n{self.text()[-3000:]}")
        return self.text()

    def wait_for_frame(self, text: str, *, without: str) -> None:
        """Read until a frame of a full screen shows `text` and not `without`."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            *frames, _ = self._output.split(b"\x1b[H")  # each begins in the corner
            texts = [_ESCAPE.sub(b"", frame).decode(errors="replace") for frame in frames]
            if any(text in frame and without not in frame for frame in texts[1:]):
                return
            if time.monotonic() > deadline or not self._read():
                raise AssertionError(f"no frame shows {text} without {without}: {texts[-1:]}")

    def forget(self) -> None:
        """What was shown until now does not count for `wait_for` any more."""
        self._output = b""

    def wait_exited(self) -> int:
        """The exit code."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.05)  # a full terminal would keep it from ending
        while self._read(0.05):
            pass
        return self.process.wait(1)

    def modes_now(self) -> list[object]:
        """The modes of the terminal."""
        return termios.tcgetattr(self._slave)

    def text(self) -> str:
        """What was shown, without control sequences."""
        return _ESCAPE.sub(b"", self._output).decode(errors="replace")

    def raw(self) -> bytes:
        """What was shown, with control sequences."""
        return self._output

    def _read(self, timeout: float = 0.5) -> bool:
        """Read what there is; False if nothing arrived in `timeout` and the program has ended."""
        ready, _, _ = select.select([self._master], [], [], timeout)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return False
        self._output += data
        return bool(data)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@contextlib.contextmanager
def tapewire_at_terminal(
    *args: str, columns: int = 80, rows: int = 24, stdout: int | None = None, **env: str
) -> Iterator[Terminal]:
    """`tapewire ARGS` at a terminal, for the block."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")}
    terminal = Terminal(
        [sys.executable, "-P", "-m", "tapewire.cli", *args],
        env=plain | env,
        columns=columns,
        rows=rows,
        stdout=stdout,
    )
    try:
        yield terminal
    finally:
        terminal.close()
