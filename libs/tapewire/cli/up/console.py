"""What `up` and its children say on stderr: lines for a console, or JSON lines for machines.

On a console each line begins with who says it. As JSON the services' lines are passed on as they
are, for they are JSON already, and what `up` itself says is JSON as well.
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
    """Speaks on `stream`; when nobody can hear it any more, a closed terminal say, it is silent."""

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

    def log(self, text: str, level: LogLevel = "info", **fields: Any) -> None:
        """`text` of our own. It says all that a reader needs; `fields` are for machines."""
        if self.is_human_readable:
            self._write_line(OWN_NAME, self._style(text, _LEVEL_COLORS[level]))
            return
        with contextlib.suppress(OSError, ValueError):
            getattr(self._logger, level)(text, **fields)

    def print_block(self, text: str) -> None:
        """Several lines for a person, apart from the log."""
        self._write_text(f"\n{text}\n")

    def write_child_line(self, name: str, text: str) -> None:
        """A line that the child `name` wrote."""
        if self.is_human_readable:
            self._write_line(name, text)
        else:
            self._write_text(text)

    def _write_line(self, name: str, text: str) -> None:
        self._write_text(
            f"{self._style(name.ljust(self._width) + ' |', self._name_colors.get(name))} {text}"
        )

    def _write_text(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()

    def _style(self, text: str, color: str | None) -> str:
        return click.style(text, fg=color) if self._use_color and color else text
