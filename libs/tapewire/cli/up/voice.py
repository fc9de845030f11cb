"""What `up` and its children say on stderr: lines for a console, or JSON lines for machines.

On a console each line begins with who says it. As JSON the services' lines are passed on as they
are, for they are JSON already, and what `up` itself says is JSON as well.
"""

import contextlib
from collections.abc import Iterable
from typing import Any, Literal, TextIO

import click
import structlog

Level = Literal["info", "warning", "error"]

OURSELVES = "up"

_COLOURS = ("cyan", "magenta", "blue", "green", "bright_cyan", "bright_magenta")
_LEVELS: dict[Level, str | None] = {"info": None, "warning": "yellow", "error": "red"}


class Voice:
    """Speaks on `stream`; when nobody can hear it any more, a closed terminal say, it is silent."""

    def __init__(self, stream: TextIO, names: Iterable[str], *, console: bool) -> None:
        self.console = console
        self._stream = stream
        self._colour = console and stream.isatty()
        names = [OURSELVES, *names]
        self._width = max(len(name) for name in names)
        self._colours = {
            name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)
        }
        self._logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(OURSELVES)

    def say(self, text: str, level: Level = "info", **fields: Any) -> None:
        """`text` of our own. It says all that a reader needs; `fields` are for machines."""
        if self.console:
            self._write(OURSELVES, self._styled(text, _LEVELS[level]))
            return
        with contextlib.suppress(OSError, ValueError):
            getattr(self._logger, level)(text, **fields)

    def block(self, text: str) -> None:
        """Several lines for a person, apart from the log."""
        self._put(f"\n{text}\n")

    def line(self, name: str, text: str) -> None:
        """A line that the child `name` wrote."""
        if self.console:
            self._write(name, text)
        else:
            self._put(text)

    def _write(self, name: str, text: str) -> None:
        self._put(f"{self._styled(name.ljust(self._width) + ' |', self._colours.get(name))} {text}")

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()

    def _styled(self, text: str, colour: str | None) -> str:
        return click.style(text, fg=colour) if self._colour and colour else text
