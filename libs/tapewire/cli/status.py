"""`tapewire status`: shows the state of every instance of every service, read from the log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError
from tapewire.cli.platform_notes import find_notes
from tapewire.cli.settings import NON_TERMINAL_WIDTH
from tapewire.cli.tail.formatting import escape_unprintable
from tapewire.events import CODEC, AgentState, AgentStatusChanged
from tapewire.log import EVERYBODY, LogError, view_checkpoints
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream.provisioning import find_hold_reasons
from tapewire.log.jetstream.streams import VIEWS
from tapewire.runtime import Settings
from tapewire.views import AgentsView

EXIT_HELD = 1
STOPPED_SHOWN_FOR = timedelta(minutes=5)
"""How long a stopped instance is shown while another one of its service runs."""

STATE_STYLES = {
    AgentState.STARTING: "cyan",
    AgentState.RUNNING: "green",
    AgentState.DEGRADED: "yellow",
    AgentState.STOPPED: "dim",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@nats_option
def status(as_json: bool, nats: str | None) -> None:
    """Show what state every instance of every service is in, and since when.

    Read from the log itself, so it works without an edge. A killed instance keeps its last state
    until its missing heartbeats are detected. A stopped instance is shown for five minutes, and
    longer if no instance of its service runs. When services hold because a stream is missing or the
    journal has lost events, the reason is shown first, and the exit code is 1. The last lines say
    how full the journal is, and whether quotes arrive.
    """
    try:
        problems, agents, notes = run_connected("status", nats, _load)
    except LogError as error:
        raise CliError(str(error), EXIT_UNAVAILABLE) from error
    for problem in problems:
        click.echo(f"on hold: {problem}", err=as_json)
    agents = select_current(agents, datetime.now(UTC))
    agents.sort(key=lambda one: (one.service, one.state is AgentState.STOPPED, one.instance))
    if as_json:
        for one in agents:
            click.echo(CODEC.encode(one))
    elif agents or not problems:
        _print_agents(agents)
        for note in notes:
            click.echo(note)
    if problems:
        raise SystemExit(EXIT_HELD)


def select_current(agents: Sequence[AgentStatusChanged], now: datetime) -> list[AgentStatusChanged]:
    """`agents`, in which the latest is the last, without those that stopped long ago. Of a service
    that does not run, the one that stopped last stays."""
    latest = {one.service: one for one in agents if one.state is AgentState.STOPPED}
    running = {one.service for one in agents if one.state is not AgentState.STOPPED}
    return [
        one
        for one in agents
        if one.state is not AgentState.STOPPED
        or now - one.timestamp <= STOPPED_SHOWN_FOR
        or (one.service not in running and one is latest[one.service])
    ]


async def _load(
    connection: NatsConnection, settings: Settings
) -> tuple[list[str], list[AgentStatusChanged], list[str]]:
    """Why services hold, the state of each, and notes on the platform; no states and no notes if
    the journal cannot be read."""
    problems = await find_hold_reasons(connection)
    try:
        store = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        log = JetStreamEventLog(connection)
        view, _bounds = await view_checkpoints.load(log, store, AgentsView, EVERYBODY)
        return problems, view.agents(), await find_notes(connection, settings.stale_seconds)
    except LogError:
        if not problems:
            raise
        return problems, [], []


def _print_agents(agents: list[AgentStatusChanged]) -> None:
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = NON_TERMINAL_WIDTH
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("service", "instance", "state", "since", "detail"):
        table.add_column(heading, overflow="fold")
    for one in agents:
        table.add_row(
            Text(escape_unprintable(one.service)),
            Text(escape_unprintable(one.instance)),
            Text(one.state.value, STATE_STYLES[one.state]),
            Text(f"{one.timestamp.astimezone():%Y-%m-%d %H:%M:%S}"),
            Text(escape_unprintable(one.detail or "")),
        )
    console.print(table)
