"""`tapewire status`: the state of every instance of every service, as the log has it."""

import asyncio

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapewire.cli.here import nats_option, nats_url
from tapewire.cli.settings import PLAIN_WIDTH
from tapewire.cli.tail.lines import clean
from tapewire.cli.trouble import EXIT_UNAVAILABLE, Trouble, settings_from_env
from tapewire.events import CODEC, AgentState, AgentStatusChanged
from tapewire.log import EVERYBODY, LogError, views
from tapewire.log.jetstream import JetStreamLog, JetStreamValues, connect
from tapewire.log.jetstream.streams import VIEWS
from tapewire.runtime import logs
from tapewire.views import AgentsView

_STYLE = {
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
    settings = settings_from_env()
    logs.set_up("status", format_=settings.log_format, level="error")
    try:
        found = asyncio.run(_load(nats_url(nats, settings), settings.nats_wait))
    except LogError as error:
        raise Trouble(str(error), EXIT_UNAVAILABLE) from error
    found.sort(key=lambda one: (one.service, one.state is AgentState.STOPPED, one.instance))
    if as_json:
        for one in found:
            click.echo(CODEC.encode(one))
    else:
        _show(found)


async def _load(url: str, wait_seconds: float) -> list[AgentStatusChanged]:
    wire = await connect(url, "tapewire status", wait_seconds=wait_seconds)
    try:
        stored = JetStreamValues(wire, stream=VIEWS, prefix="view")
        view, _ = await views.load(JetStreamLog(wire), stored, AgentsView, EVERYBODY)
        return view.agents()
    finally:
        await wire.close()


def _show(found: list[AgentStatusChanged]) -> None:
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("service", "instance", "state", "since", "detail"):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(
            Text(clean(one.service)),
            Text(clean(one.instance)),
            Text(one.state.value, _STYLE[one.state]),
            Text(f"{one.timestamp.astimezone():%Y-%m-%d %H:%M:%S}"),
            Text(clean(one.detail or "")),
        )
    console.print(table)
