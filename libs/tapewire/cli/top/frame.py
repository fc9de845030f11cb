"""Draws a sample for a terminal of any size. Pure: a frame follows from what is passed in.

The head has the figures of the whole system, a line each; below it are the panes. No meaning is in
a colour alone.
"""

from collections.abc import Iterator

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tapewire.cli.tail.formatting import escape_unprintable
from tapewire.cli.top.formats import format_bytes, format_rate
from tapewire.cli.top.panes import PANES, Pane
from tapewire.cli.top.samples import EdgeFigures, Sample

WIDE_COLUMNS = 150
"""A terminal of this width has room for two panes side by side."""
STALE_SECONDS = 4.0
LABEL_COLUMNS = 10
GAP = 2
"""Blanks between two columns."""
MIN_LAST_COLUMN = 8
HEADING_ROWS = 2
"""The title of a pane, and the headings of its columns."""
KEYS = "q quit   1-4 pane   Tab next pane   s sort   space pause"
_PROBLEM_STYLE = "bold red"
_WARNING_STYLE = "yellow"


class Choices(msgspec.Struct):
    """What the person has chosen: the number of the pane, and by the name of each pane the number
    of the column that it is sorted by."""

    pane: int = 0
    sorts: dict[str, int] = {}
    is_paused: bool = False


def draw(
    sample: Sample,
    choices: Choices,
    *,
    title: str,
    size: tuple[int, int],
    stale_seconds: float = STALE_SECONDS,
) -> RenderableType:
    """A frame for a terminal of `size` columns and rows; it fills the rows and exceeds none."""
    columns, rows = size
    head = [*_head(sample, title, choices, stale_seconds, columns)]
    body_rows = rows - len(head) - 2  # a blank line and the keys
    if body_rows <= HEADING_ROWS:
        return Group(*head[:rows])
    chosen = PANES[choices.pane]
    if columns >= WIDE_COLUMNS:
        other = PANES[1] if choices.pane == 0 else chosen
        grid, left = Table.grid(), columns * 3 // 5
        grid.add_column(width=left)
        grid.add_column(width=columns - left)
        grid.add_row(
            _draw_pane(PANES[0], sample, choices, left, body_rows),
            _draw_pane(other, sample, choices, columns - left, body_rows),
        )
        body: RenderableType = grid
    else:
        body = _draw_pane(chosen, sample, choices, columns, body_rows)
    keys = Text(KEYS, "dim", no_wrap=True, overflow="ellipsis")
    return Group(*head, Text(""), body, keys)


def draw_all(
    sample: Sample, *, title: str, columns: int, stale_seconds: float = STALE_SECONDS
) -> RenderableType:
    """The head and all panes below each other, in full."""
    choices = Choices()
    parts: list[RenderableType] = [*_head(sample, title, choices, stale_seconds, columns)]
    for pane in PANES:
        parts += [Text(""), _draw_pane(pane, sample, choices, columns, None)]
    return Group(*parts)


def _head(
    sample: Sample, title: str, choices: Choices, stale_seconds: float, columns: int
) -> Iterator[Text]:
    paused = "   (paused)" if choices.is_paused else ""
    clock = f"{sample.taken_at.astimezone():%H:%M:%S}{paused}"
    yield _cut(Text(f"tapewire top   {clock}   {escape_unprintable(title)}", "bold"), columns)
    for reason in _problems(sample):
        yield _cut(Text(escape_unprintable(reason), _PROBLEM_STYLE), columns)
    for label, text, style in (
        ("journal", *_journal(sample)),
        ("activity", _activity(sample), ""),
        ("prices", *_prices(sample, stale_seconds)),
        ("clients", *_clients(sample)),
        ("parked", *_parked(sample)),
    ):
        line = Text(label.ljust(LABEL_COLUMNS), "cyan")
        yield _cut(line.append(escape_unprintable(text), style), columns)


def _problems(sample: Sample) -> Iterator[str]:
    if sample.nats_problem is not None:
        since = ""
        if sample.answered_at is not None:
            seconds = (sample.taken_at - sample.answered_at).total_seconds()
            since = f", these figures are {seconds:,.0f} s old"
        yield f"NATS does not answer{since}: {sample.nats_problem}"
        return
    yield from (f"on hold: {reason}" for reason in sample.hold_reasons[:3])
    if len(sample.hold_reasons) > 3:
        yield f"on hold for {len(sample.hold_reasons) - 3} more reasons: see `tapewire status`"


def _cut(line: Text, columns: int) -> Text:
    line.truncate(columns, overflow="ellipsis")
    return line


def _journal(sample: Sample) -> tuple[str, str]:
    extent, growth = sample.extent, sample.growth
    if extent is None:
        return "not known", _WARNING_STYLE
    text = f"{extent.event_count:,} events, {format_bytes(extent.byte_count)}"
    if extent.max_bytes <= 0:
        return f"{text}, without a limit", _WARNING_STYLE
    usage = extent.byte_count / extent.max_bytes
    text += f", {usage:.1%} of {format_bytes(extent.max_bytes)}"
    if growth is None:
        return f"{text}, days left: not known yet", ""
    days = "unlimited" if growth.days_left is None else f"{growth.days_left:,.1f}"
    return f"{text}, days left: {days}", _WARNING_STYLE if usage >= 0.8 else ""


def _activity(sample: Sample) -> str:
    figures = (
        ("orders", sample.orders_per_second),
        ("events", sample.events_per_second),
        ("quotes", sample.quotes_per_second),
    )
    return "   ".join(f"{format_rate(rate)} {name}/s" for name, rate in figures)


def _prices(sample: Sample, stale_seconds: float) -> tuple[str, str]:
    feed = ""
    if sample.feed is not None:
        feed = f"; {sample.feed.symbol_count:,} symbols of {sample.feed.name}"
        feed += ", which has ended" if sample.feed.has_ended else ""
        feed += f", {sample.feed.fault_count:,} faults" if sample.feed.fault_count else ""
    if sample.quoted_at is None:
        return f"no quote yet{feed}", _WARNING_STYLE
    seconds = max(0.0, (sample.taken_at - sample.quoted_at).total_seconds())
    if seconds > stale_seconds:
        return f"stale: no quote for {seconds:,.0f} s{feed}", _WARNING_STYLE
    return f"fresh: the last quote {seconds:.1f} s ago{feed}", ""


def _clients(sample: Sample) -> tuple[str, str]:
    edge = sample.edge
    if edge is None:
        return sample.edge_problem or "not known yet", _WARNING_STYLE
    if sample.edge_problem is not None:
        return f"{sample.edge_problem}; before: {_connections(edge)}", _WARNING_STYLE
    return _connections(edge), _WARNING_STYLE if edge.closed.get("slow") else ""


def _connections(edge: EdgeFigures) -> str:
    return (
        f"{edge.everywhere:,} streams of {edge.user_count:,} users, {edge.live:,} follow the log; "
        f"{format_bytes(edge.outbox_bytes)} wait; {edge.closed.get('slow', 0):,} closed as slow"
    )


def _parked(sample: Sample) -> tuple[str, str]:
    count = len(sample.parked)
    if not count:
        return "none", ""
    names = sorted({each.subscription for each in sample.parked})
    return f"{count:,} events of {', '.join(names)}: see `tapewire parked list`", _WARNING_STYLE


def _draw_pane(
    pane: Pane, sample: Sample, choices: Choices, columns: int, max_rows: int | None
) -> RenderableType:
    rows = pane.rows(sample)
    sort = choices.sorts.get(pane.name, pane.default_sort)
    rows.sort(key=lambda row: row.sort_key(sort))
    shown = len(rows)
    if max_rows is not None and shown > max_rows - HEADING_ROWS:
        shown = max(0, max_rows - HEADING_ROWS - 1)
    title = Text(f"{pane.title}, by {pane.columns[sort].heading}", "bold", no_wrap=True)
    table = Table(box=None, padding=(0, GAP, 0, 0), header_style="underline")
    for column in pane.columns:
        table.add_column(column.heading, justify=column.justify, no_wrap=True, overflow="ellipsis")
    # rich would narrow all columns alike, so the last one is cut to what the others leave.
    taken = sum(
        max(len(column.heading), *(len(row.cells[number]) for row in rows[:shown]), 0) + GAP
        for number, column in enumerate(pane.columns[:-1])
    )
    left = max(columns - taken - GAP, MIN_LAST_COLUMN)
    for row in rows[:shown]:
        cells = [
            Text(escape_unprintable(cell), style)
            for cell, style in zip(row.cells, row.styles, strict=True)
        ]
        table.add_row(*cells[:-1], _cut(cells[-1], left))
    if not rows:
        return Group(title, Text(pane.empty_text, "dim"))
    if shown < len(rows):
        return Group(
            title, table, Text(f"{len(rows) - shown:,} more rows need a higher window", "dim")
        )
    return Group(title, table)
