"""`tapewire status`: the state of every instance of every service, as the log has it."""

import asyncio

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapewire.cli.endpoints import nats_option, resolve_nats_url
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError, load_settings
from tapewire.cli.settings import NON_TERMINAL_WIDTH
from tapewire.cli.tail.formatting import escape_unprintable
from tapewire.events import CODEC, AgentState, AgentStatusChanged
from tapewire.log import EVERYBODY, LogError, view_checkpoints
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, connect
from tapewire.log.jetstream.streams import VIEWS
from tapewire.runtime import logging_setup
from tapewire.views import AgentsView

_STATE_STYLES = {
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

    Read from the log itself, so it works without an edge. One that was killed is shown as it was
    until its silence is noticed.
    """
    settings = load_settings()
    logging_setup.configure_logging("status", format_=settings.log_format, level="error")
    try:
        found = asyncio.run(_load_agents(resolve_nats_url(nats, settings), settings.nats_wait))
    except LogError as error:
        raise CliError(str(error), EXIT_UNAVAILABLE) from error
    found.sort(key=lambda one: (one.service, one.state is AgentState.STOPPED, one.instance))
    if as_json:
        for one in found:
            click.echo(CODEC.encode(one))
    else:
        _print_agents(found)


async def _load_agents(url: str, wait_seconds: float) -> list[AgentStatusChanged]:
    wire = await connect(url, "tapewire status", wait_seconds=wait_seconds)
    try:
        stored = JetStreamLatestValueStore(wire, stream=VIEWS, prefix="view")
        view, _ = await view_checkpoints.load(
            JetStreamEventLog(wire), stored, AgentsView, EVERYBODY
        )
        return view.agents()
    finally:
        await wire.close()


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
            Text(one.state.value, _STATE_STYLES[one.state]),
            Text(f"{one.timestamp.astimezone():%Y-%m-%d %H:%M:%S}"),
            Text(escape_unprintable(one.detail or "")),
        )
    console.print(table)
