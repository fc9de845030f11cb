"""Shows the progress of long work on stderr; never on stdout, which has the result.

On a terminal it is a bar with counts, rate and what remains, which disappears at the end. Elsewhere
it is a line at the beginning of each phase, and one every few seconds.
"""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tapewire.cli.rates import RateMeter
from tapewire.cli.tail.formatting import escape_unprintable
from tapewire.log.work_progress import WorkProgress

LINE_SECONDS = 5.0
"""The interval of lines where stderr is no terminal."""
REDRAWS_PER_SECOND = 8
BAR_COLUMNS = 24


class ProgressDisplay:
    """Shows what it is called with, for the length of a ``with`` block.

    Args:
        is_mostly_short: There is no line during the first seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, is_mostly_short: bool = False
    ) -> None:
        self._clock = clock
        self._no_line_before = clock() + (LINE_SECONDS if is_mostly_short else 0.0)
        self._progress: WorkProgress | None = None
        self._meter = RateMeter()
        self._rate: float | None = None
        self._next_line_at = 0.0
        self._live: Live | None = None
        console = Console(stderr=True, highlight=False)
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(
                console=console,
                transient=True,
                refresh_per_second=REDRAWS_PER_SECOND,
                get_renderable=self._draw,
                redirect_stdout=False,  # it may be a pipe
                redirect_stderr=False,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: WorkProgress) -> None:
        """Show `progress`: at the next redrawing, or if it is time for a line."""
        now = self._clock()
        is_new_phase = self._progress is None or progress.phase != self._progress.phase
        if is_new_phase:
            self._meter, self._rate = RateMeter(), None
            self._next_line_at = max(now, self._no_line_before)
        if progress.done is not None:
            self._rate = self._meter.add(now, progress.done)
        self._progress = progress
        if self._live is None and now >= self._next_line_at:
            self._next_line_at = now + LINE_SECONDS
            click.echo(escape_unprintable(describe_progress(progress, self._rate)), err=True)
            sys.stderr.flush()

    def echo(self, line: str | bytes, *, err: bool = False) -> None:
        """Print a line on stdout or stderr as `click.echo` does, above the bar if there is one."""
        if self._live is None or not (err or sys.stdout.isatty()):
            click.echo(line, err=err)
            return
        text = line.decode(errors="replace") if isinstance(line, bytes) else line
        self._live.console.print(Text(text), soft_wrap=True)

    def _draw(self) -> Table:
        progress, row = self._progress, Table.grid(padding=(0, 1))
        if progress is None:
            return row
        text = Text(escape_unprintable(describe_progress(progress, self._rate)))
        if progress.done is None or not progress.total:
            row.add_row(text)
        else:
            bar = ProgressBar(progress.total, min(progress.done, progress.total), BAR_COLUMNS)
            row.add_row(bar, text)
        return row


def describe_progress(progress: WorkProgress, rate: float | None) -> str:
    """The progress with its share, its `rate` a second and the time that remains, as far as they
    are known."""
    parts = [str(progress)]
    if progress.done is not None and progress.total:
        parts[0] += f" ({min(progress.done / progress.total, 1):.0%})"
    if rate:
        parts.append(f"{rate:,.0f}/s")
        if progress.done is not None and progress.total is not None:
            parts.append(f"{format_left(max(0, progress.total - progress.done) / rate)} left")
    return ", ".join(parts)


def format_left(seconds: float) -> str:
    """A duration to come, in whole seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
