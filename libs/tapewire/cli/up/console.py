"""What `up` and its processes write to stderr: lines for a person, or JSON lines for a program.

For a person each line begins with the name of the process that wrote it. As JSON the lines of the
services are passed on unchanged, because they are JSON already, and `up` logs JSON itself.
"""

import contextlib
from collections.abc import Iterable
from typing import Any, Literal, TextIO

import click
import structlog

LogLevel = Literal["info", "warning", "error"]

OWN_NAME = "up"

_NAME_COLORS = ("cyan", "magenta", "blue", "green", "bright_cyan", "bright_magenta")
_LEVEL_COLORS: dict[LogLevel, str | None] = {"info": None, "warning": "yellow", "error": "red"}


class Console:
    """Writes to `stream`. Errors, such as a closed terminal, are ignored."""

    def __init__(self, stream: TextIO, names: Iterable[str], *, is_human_readable: bool) -> None:
        self.is_human_readable = is_human_readable
        self._stream = stream
        self._use_color = is_human_readable and stream.isatty()
        names = [OWN_NAME, *names]
        self._width = max(len(name) for name in names)
        self._name_colors = {
            name: _NAME_COLORS[number % len(_NAME_COLORS)] for number, name in enumerate(names)
        }
        self._logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(OWN_NAME)

    def log(self, event: str, message: str, level: LogLevel = "info", **fields: Any) -> None:
        """Log an event of `up` itself.

        A person reads `message` alone; a program gets `event`, `message` and `fields`.
        """
        if self.is_human_readable:
            self._write_line(OWN_NAME, self._style(message, _LEVEL_COLORS[level]))
            return
        with contextlib.suppress(OSError, ValueError):
            getattr(self._logger, level)(event, message=message, **fields)

    def print_block(self, text: str) -> None:
        """Write several lines for a person, apart from the log."""
        self._write_text(f"\n{text}\n")

    def write_child_line(self, name: str, text: str) -> None:
        """Write a line of output of the process `name`."""
        if self.is_human_readable:
            self._write_line(name, text)
        else:
            self._write_text(text)

    def _write_line(self, name: str, text: str) -> None:
        prefix = self._style(f"{name.ljust(self._width)} |", self._name_colors.get(name))
        self._write_text(f"{prefix} {text}")

    def _write_text(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()

    def _style(self, text: str, color: str | None) -> str:
        return click.style(text, fg=color) if self._use_color and color else text
