"""The commands `tapewire items load` and `tapewire items add`."""

import codecs
import contextlib
import io
import os
from collections import Counter
from typing import IO, cast

import click

from tapewire.cli.completion import complete_symbols
from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.cures import find_cure
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError
from tapewire.cli.items import csv_reader, feed_reader
from tapewire.cli.items.loader import ItemLoader, LoadTotals, retry_request
from tapewire.cli.items.rows import (
    InvalidCell,
    ItemDefaults,
    Rows,
    UnreadableFile,
    parse_score,
    parse_sentiment,
    parse_timestamp,
)
from tapewire.cli.progress import ProgressDisplay
from tapewire.log import new_id
from tapewire.log.jetstream import NatsConnection
from tapewire.log.work_progress import WorkProgress
from tapewire.runtime import RequestClient, RequestTimeout, Settings
from tapewire.runtime.contracts.insights import (
    ADD,
    LOAD,
    SERVICE,
    ItemReply,
    LoadItems,
    LoadReply,
    NewItem,
)

MAX_REPORTED_ROWS = 20
"""Malformed rows, and notices, that are reported one by one; all are counted."""
EXIT_MALFORMED_ROWS = 1
"""Some rows were not loaded; all others are."""
FEED_PREFIXES = (b"<", b"\xff\xfe", b"\xfe\xff", b"\0")
"""How a feed begins, after a byte order mark of UTF-8 and blank lines. A CSV file begins with a
letter, the first of its header."""

LoadResult = tuple[LoadTotals, UnreadableFile | RequestTimeout | None, str | None]
"""What became of the rows, the error that ended the load before the end of the file, and what to do
about it."""

ticker_option = click.option(
    "--ticker",
    "tickers",
    metavar="SYMBOL",
    multiple=True,
    shell_complete=complete_symbols,
    help="What it is about; may repeat.",
)
tag_option = click.option("--tag", "tags", metavar="WORD", multiple=True, help="May repeat.")


@click.group()
def items() -> None:
    """Add analysed items (news, posts, notes) to the log."""


@items.command()
@click.argument("file", type=click.File("rb"))
@click.option("--source", metavar="NAME", help="Of rows without one; of a feed, not its title.")
@ticker_option
@tag_option
@nats_option
def load(
    file: IO[bytes],
    source: str | None,
    tickers: tuple[str, ...],
    tags: tuple[str, ...],
    nats: str | None,
) -> None:
    """Load FILE ('-': stdin): CSV, RSS (also RDF) or Atom. Loading it again adds nothing twice.

    CSV is UTF-8 with a header naming any of the columns title, source, url, tickers, tags,
    sentiment (positive, neutral, negative), score (-1 to 1), timestamp (ISO 8601 with an offset),
    id, text. The title is needed, and the source here or by --source; tickers and tags are
    separated by semicolons. Without sentiment and score, title and text are scored. Without an id
    the url, or the title, makes an item unique in its source.

    Malformed rows are reported with their line, counted, and skipped; the exit status is then 1,
    and 2 if the file cannot be read to its end. Repairs of damaged feeds are reported, too.
    """
    defaults = ItemDefaults(source=source, tickers=tickers, tags=tags)

    async def work(connection: NatsConnection, _: Settings) -> LoadResult:
        rows = _read_rows(file, defaults)
        totals, error = await _load_rows(file, rows, RequestClient(connection))
        return totals, error, None if error is None else await find_cure(connection, error)

    totals, error, cure = run_connected("items", nats, work)
    click.echo(str(totals))
    if isinstance(error, RequestTimeout):
        cause = str(error) if cure is None else f"{error}: {cure}"
        raise CliError(f"stopped there: {cause}; load it again for the rest", EXIT_UNAVAILABLE)
    if error is not None:
        raise CliError(f"{file.name}: {error}")
    if totals.malformed:
        message = f"{totals.malformed} of {totals.rows} rows were not loaded"
        raise CliError(f"{message}: {totals.describe_faults()}", EXIT_MALFORMED_ROWS)


@items.command()
@click.option("--title", required=True, help="What it says, in a line.")
@click.option("--source", required=True, metavar="NAME", help="Who says so.")
@click.option("--url", help="Where it says so.")
@ticker_option
@tag_option
@click.option("--sentiment", "sentiment_", metavar="WORD", default="",
              help="positive, neutral or negative.")  # fmt: skip
@click.option("--score", "score_", metavar="NUMBER", default="", help="-1 (bad) to 1 (good).")
@click.option("--text", default="", help="Read for the sentiment, and not kept.")
@click.option("--timestamp", "timestamp_", metavar="ISO", default="",
              help="When it was published [now].")  # fmt: skip
@click.option("--id", "id_", metavar="ID", help="Makes it unique [source and url, or title].")
@nats_option
def add(
    title: str,
    source: str,
    url: str | None,
    tickers: tuple[str, ...],
    tags: tuple[str, ...],
    sentiment_: str,
    score_: str,
    text: str,
    timestamp_: str,
    id_: str | None,
    nats: str | None,
) -> None:
    """Add one item, and print its id, its sentiment and its score."""
    try:
        item = NewItem(
            title=title,
            source=source,
            url=url,
            tickers=tickers,
            tags=tags,
            sentiment=parse_sentiment(sentiment_),
            score=parse_score(score_),
            text=text,
            timestamp=parse_timestamp(timestamp_),
            id=id_,
        )
    except InvalidCell as error:
        raise CliError(str(error)) from error
    command_id, correlation = new_id(), new_id()

    async def work(connection: NatsConnection, _: Settings) -> ItemReply:
        requests = RequestClient(connection)
        return await retry_request(
            lambda: requests.request(
                SERVICE, ADD, item, ItemReply, correlation=correlation, command_id=command_id
            )
        )

    reply = run_connected("items", nats, work)
    suffix = "" if reply.created else "   (already there)"
    click.echo(f"{reply.item.id} {reply.item.sentiment.value} {reply.item.score}{suffix}")


def _read_rows(file: IO[bytes], defaults: ItemDefaults) -> Rows:
    # A second buffer around that of a pipe would hold rows back until it is full.
    buffered = (
        file
        if isinstance(file, io.BufferedReader)
        else io.BufferedReader(cast("io.RawIOBase", file))
    )
    is_feed = _skip_blank(buffered.peek(64)).startswith(FEED_PREFIXES)
    return (
        feed_reader.read_rows(buffered, defaults)
        if is_feed
        else csv_reader.read_rows(buffered, defaults)
    )


def _skip_blank(start: bytes) -> bytes:
    return start.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")


async def _load_rows(
    file: IO[bytes], rows: Rows, requests: RequestClient
) -> tuple[LoadTotals, UnreadableFile | RequestTimeout | None]:
    correlation = new_id()

    async def send_batch(batch: LoadItems) -> LoadReply:
        command_id = new_id()
        return await retry_request(
            lambda: requests.request(
                SERVICE,
                LOAD,
                batch,
                LoadReply,
                correlation=correlation,
                command_id=command_id,
            )
        )

    with ProgressDisplay(is_mostly_short=True) as progress:
        faults = _FaultReporter(file.name, progress)
        loader = ItemLoader(
            send_batch,
            faults.report_malformed,
            faults.report_notice,
            lambda totals: progress(_describe_load(file, totals)),
        )
        try:
            await loader.load(rows)
        except (UnreadableFile, RequestTimeout) as error:
            return loader.totals, error
    return loader.totals, None


def _describe_load(file: IO[bytes], totals: LoadTotals) -> WorkProgress:
    """The progress in bytes of a file, or in rows of what has no end, such as a pipe."""
    counts = (
        f"{totals.added:,} added, {totals.already_stored:,} already there, "
        f"{totals.malformed:,} malformed"
    )
    with contextlib.suppress(OSError, ValueError):  # ValueError: it was read to its end
        size = os.fstat(file.fileno()).st_size
        if file.seekable() and size:
            return WorkProgress("loading", file.tell(), size, "bytes", note=counts)
    return WorkProgress("loading", totals.rows, unit="rows", note=counts)


class _FaultReporter:
    """Writes malformed rows and notices to stderr."""

    def __init__(self, name: str, progress: ProgressDisplay) -> None:
        self._name = name
        self._progress = progress
        self._reported: Counter[str] = Counter()

    def report_malformed(self, line: int, reason: str) -> None:
        self._report("malformed rows", line, reason)

    def report_notice(self, line: int, reason: str) -> None:
        self._report("notices", line, f"note: {reason}")

    def _report(self, kind: str, line: int, text: str) -> None:
        self._reported[kind] += 1
        if self._reported[kind] <= MAX_REPORTED_ROWS:
            self._progress.echo(f"{self._name}:{line}: {text}", err=True)
        elif self._reported[kind] == MAX_REPORTED_ROWS + 1:
            self._progress.echo(f"{self._name}: further {kind} are only counted", err=True)
