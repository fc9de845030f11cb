"""The command `top`: connects, takes samples, draws them, obeys keys, and connects again."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.live import Live

from tapewire.cli.connection import (
    NatsAddress,
    nats_option,
    open_connection,
    resolve_edge_url,
    resolve_nats_address,
)
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError, load_settings
from tapewire.cli.top.edge_figures import EdgeReader
from tapewire.cli.top.frame import Choices, draw, draw_all
from tapewire.cli.top.keyboard import reading_keys
from tapewire.cli.top.panes import PANES
from tapewire.cli.top.sampler import Sampler
from tapewire.cli.top.samples import Sample
from tapewire.log import LogError
from tapewire.log.jetstream.credentials import without_credentials
from tapewire.runtime import Settings, logging_setup

DEFAULT_SECONDS = 2.0
ONCE_SECONDS = 1.0
"""`--once` takes two samples, this long after each other, for the rates."""
NON_TERMINAL_COLUMNS = 120
RETRY_SECONDS = 1.0
CANCEL_SECONDS = 0.2


@click.command()
@click.option("--once", is_flag=True, help="Print one frame with all panes, and end.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.5, max=60),
    default=DEFAULT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between two samples.",
)
@click.option("--url", metavar="URL", help="The edge whose figures are shown, with --nats.")
@click.option(
    "--session",
    metavar="COOKIE",
    envvar="TAPEWIRE_SESSION",
    show_envvar=True,
    help="An admin's session, which may see how many streams each user has.",
)
@nats_option
def top(
    once: bool, interval: float, url: str | None, session: str | None, nats: str | None
) -> None:
    """Show live what a system does: services and their progress, clients, the journal, prices,
    orders a second, parked events.

    Keys: q quits, 1 to 4 or Tab choose a pane, s sorts it by the next column, space pauses. After a
    restart of the system it connects again by itself. Without a terminal use --once.

    Exits with 0, or with 3 when NATS is away at the start, or with --once at any time.
    """
    settings = load_settings()
    logging_setup.configure_logging("top", format_=settings.log_format, level="critical")
    # A shell that exports its size does not change that of a running program.
    fixed = () if once else ("COLUMNS", "LINES")
    environ = {name: value for name, value in os.environ.items() if name not in fixed}
    console = Console(highlight=False, _environ=environ)
    if not once and not (console.is_terminal and sys.stdin.isatty()):
        raise CliError("this is no terminal: use --once for a single frame")
    monitor = _Monitor(settings, nats, url, session)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_print_once(monitor, console) if once else _show(monitor, console, interval))


class _Monitor:
    """The connections to a system, made again when the system is another one."""

    def __init__(
        self, settings: Settings, nats: str | None, url: str | None, session: str | None
    ) -> None:
        self._settings = settings
        self._nats = nats
        self._url = url
        self._session = session
        self.address = resolve_nats_address(nats, settings)

    @property
    def title(self) -> str:
        """What is shown: the data directory if there is one, and the address."""
        url = without_credentials(self.address.url)
        return url if self.address.data_dir is None else f"{self.address.data_dir}   {url}"

    @property
    def stale_seconds(self) -> float:
        return self._settings.stale_seconds

    @contextlib.asynccontextmanager
    async def connect(self, *, is_patient: bool) -> AsyncIterator[Sampler]:
        """A sampler for the block. Raises CliError or LogError."""
        logging_setup.remember_url_secrets(self.address.url)
        edge, edge_problem = self._open_edge()
        try:
            async with open_connection(
                "top", self.address, self._settings, is_patient=is_patient
            ) as connection:
                sampler = Sampler(connection, edge, edge_problem)
                await sampler.start()
                yield sampler
        finally:
            if edge is not None:
                await edge.close()

    def _open_edge(self) -> tuple[EdgeReader | None, str | None]:
        if self._nats and not self._url:
            return None, "name the edge, too: --url URL"
        try:
            url = self._url or resolve_edge_url(None)
        except CliError as error:
            return None, error.message
        return EdgeReader(url, session=self._session, may_sign_in=self._url is None), None

    def find_new_address(self) -> NatsAddress | None:
        """The address of the system, if it is another one by now; None while none runs."""
        try:
            found = resolve_nats_address(self._nats, self._settings)
        except CliError:
            return None
        return found if found != self.address and not found.is_default else None


async def _print_once(monitor: _Monitor, console: Console) -> None:
    async with monitor.connect(is_patient=True) as sampler:
        await sampler.read()
        await asyncio.sleep(ONCE_SECONDS)
        sample = await sampler.read()
    if not console.is_terminal:
        console.width = int(os.environ.get("COLUMNS") or NON_TERMINAL_COLUMNS)
    frame = draw_all(
        sample, title=monitor.title, columns=console.width, stale_seconds=monitor.stale_seconds
    )
    console.print(frame)
    if sample.nats_problem is not None:
        raise CliError(sample.nats_problem, EXIT_UNAVAILABLE)


async def _show(monitor: _Monitor, console: Console, interval: float) -> None:
    """Draw until a key or a signal ends it. Raises CliError if NATS is away at the start."""
    async with contextlib.AsyncExitStack() as connected:
        sampler = await connected.enter_async_context(monitor.connect(is_patient=True))
        screen = _TopDisplay(monitor, console, await sampler.read())
        live = connected.enter_context(Live(console=console, screen=True, auto_refresh=False))
        connected.enter_context(reading_keys(screen.handle_key))
        screen.attach(live)
        tasks = {
            asyncio.create_task(screen.keep_sampling(sampler, interval)),
            asyncio.create_task(screen.quit.wait()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _end(tasks)


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended. Before Python 3.12 a task goes on if it is cancelled in
    the moment when an answer of NATS arrives (`asyncio.wait_for`)."""
    while not all(task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CANCEL_SECONDS)


class _TopDisplay:
    """What is shown, and what was chosen."""

    def __init__(self, monitor: _Monitor, console: Console, sample: Sample) -> None:
        self._monitor = monitor
        self._console = console
        self._sample = sample
        self._choices = Choices()
        self._live: Live | None = None
        self.quit = asyncio.Event()

    def attach(self, live: Live) -> None:
        """Draw on `live` from now on, also when the size of the terminal changes."""
        self._live = live
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self.draw)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.quit.set)
        self.draw()

    def handle_key(self, key: str) -> None:
        choices, pane = self._choices, PANES[self._choices.pane]
        if key in ("q", "Q"):
            self.quit.set()
        elif key.isdecimal() and 1 <= int(key) <= len(PANES):
            choices.pane = int(key) - 1
        elif key == "\t":
            choices.pane = (choices.pane + 1) % len(PANES)
        elif key == "s":
            now = choices.sorts.get(pane.name, pane.default_sort)
            choices.sorts[pane.name] = (now + 1) % len(pane.columns)
        elif key == " ":
            choices.is_paused = not choices.is_paused
        self.draw()

    async def keep_sampling(self, sampler: Sampler, interval: float) -> None:
        """Take samples until cancelled, first with `sampler`, and over new connections when the
        system has another address."""
        await self._sample_until_replaced(sampler, interval)
        while True:
            self._monitor.address = self._monitor.find_new_address() or self._monitor.address
            try:
                async with self._monitor.connect(is_patient=False) as sampler:
                    await self._sample_until_replaced(sampler, interval)
            except (CliError, LogError) as error:
                self._sample = msgspec.structs.replace(
                    self._sample,
                    taken_at=datetime.now(UTC),
                    nats_problem=str(getattr(error, "message", error)),
                )
                self.draw()
                await asyncio.sleep(RETRY_SECONDS)

    async def _sample_until_replaced(self, sampler: Sampler, interval: float) -> None:
        """Take samples until the system has another address."""
        while True:
            sample = await sampler.read()
            if sample.answered_at is None:  # a new connection without an answer yet
                sample = msgspec.structs.replace(
                    self._sample, taken_at=sample.taken_at, nats_problem=sample.nats_problem
                )
            if not self._choices.is_paused:
                self._sample = sample
                self.draw()
            if sample.nats_problem and self._monitor.find_new_address() is not None:
                return
            await asyncio.sleep(interval)

    def draw(self, *_: Any) -> None:
        """Draw the sample that is shown, in the size that the terminal has now."""
        if self._live is None:
            return
        columns, rows = self._console.size
        frame = draw(
            self._sample,
            self._choices,
            title=self._monitor.title,
            size=(columns, rows),
            stale_seconds=self._monitor.stale_seconds,
        )
        self._live.update(frame, refresh=True)
