"""Single keys of the terminal, without waiting for Enter."""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator

MAX_KEY_BYTES = 64


@contextlib.contextmanager
def reading_keys(on_key: Callable[[str], None]) -> Iterator[None]:
    """Call `on_key` with every character that is typed during the block, if stdin is a terminal.
    Ctrl-C still interrupts. Must run in the event loop."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()

    def read() -> None:
        typed = os.read(descriptor, MAX_KEY_BYTES)
        if not typed:
            loop.remove_reader(descriptor)  # the terminal is gone
        # A key such as an arrow is a sequence that begins with ESC: it means nothing here.
        elif not typed.startswith(b"\x1b"):
            for key in typed.decode(errors="ignore"):
                on_key(key)

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
