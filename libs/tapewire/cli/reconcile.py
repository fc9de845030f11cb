"""`tapewire reconcile`: prove that positions equal the fold of all trades, or say where not.

The positions service does the proving (the request `reconcile`); this asks, prints and ends with a
code that a script can act on.
"""

import asyncio

import click

from tapewire.cli.endpoints import nats_option, resolve_nats_url
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError, load_settings
from tapewire.events import CODEC, Position
from tapewire.log import Unavailable, new_id
from tapewire.log.jetstream import connect
from tapewire.runtime import CommandRejected, RequestClient, RequestTimeout, logging_setup
from tapewire.runtime.contracts.positions import (
    RECONCILE,
    SERVICE,
    Difference,
    ReconcilePositions,
    ReconcileReply,
)

EXIT_DIFFERENCES = 1
"""Positions differ from the fold of their trades."""
DEFAULT_TIMEOUT_SECONDS = 60.0


@click.command()
@click.option("--user", metavar="NAME", help="Only this user's positions; else everybody's.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole reply as one line of JSON.")
@click.option("--seconds", type=click.FloatRange(1.0, 3600.0), default=DEFAULT_TIMEOUT_SECONDS, show_default=True,
              help="How long to wait: a second for each 10,000 trades.")  # fmt: skip
@nats_option
@click.pass_context
def reconcile(
    context: click.Context, user: str | None, as_json: bool, seconds: float, nats: str | None
) -> None:
    """Compare positions with the fold of all trades, and print what differs.

    It ends with 0 when they are equal, 1 when not, 2 when it cannot be proved (a trimmed log, a bad
    option), 3 when NATS or the positions service is away.
    """
    settings = load_settings()
    logging_setup.configure_logging("reconcile", format_=settings.log_format, level="error")
    url, request = resolve_nats_url(nats, settings), ReconcilePositions(user_id=user)
    try:
        reply = asyncio.run(_request_reconciliation(url, settings.nats_wait, request, seconds))
    except CommandRejected as refusal:
        raise CliError(refusal.message) from refusal
    except UnicodeEncodeError as error:
        raise CliError(f"--user {user!a} is no text: {error}") from error
    except (Unavailable, RequestTimeout) as error:
        raise CliError(str(error), EXIT_UNAVAILABLE) from error
    click.echo(CODEC.encode(reply).decode() if as_json else "\n".join(format_reply(reply)))
    context.exit(EXIT_DIFFERENCES if reply.differing else 0)


async def _request_reconciliation(
    url: str, connect_timeout_seconds: float, request: ReconcilePositions, timeout_seconds: float
) -> ReconcileReply:
    wire = await connect(url, "tapewire reconcile", wait_seconds=connect_timeout_seconds)
    try:
        return await RequestClient(wire).request(
            SERVICE,
            RECONCILE,
            request,
            ReconcileReply,
            correlation=new_id(),
            timeout_seconds=timeout_seconds,
        )
    finally:
        await wire.close()


def format_reply(reply: ReconcileReply) -> list[str]:
    """What people read: each difference, then the verdict."""
    compared = f"{reply.positions} positions, {reply.trades} trades, {reply.events} events"
    extra = f", {reply.pending} pending, {reply.unusable} unusable"
    verdict = f"{reply.differing} positions differ" if reply.differing else "equal"
    untold = reply.differing - len(reply.differences)
    return [
        *(_format_difference(one) for one in reply.differences),
        *([f"and {untold} more"] if untold else []),
        f"{verdict}: {compared}{extra}, as of {reply.epoch}-{reply.as_of}",
    ]


def _format_difference(difference: Difference) -> str:
    where = f"trade {difference.trade_id} at {difference.trade_sequence}"
    where += "" if difference.sequence is None else f", event at {difference.sequence}"
    told = f"expected {_format_position(difference.expected)}, found {_format_position(difference.found)}"
    return f"{difference.kind.value}: {difference.user_id} {difference.symbol} ({where}): {told}"


def _format_position(position: Position | None) -> str:
    if position is None:
        return "none"
    return (
        f"{position.quantity} for {position.cost_basis}, "
        f"realized {position.realized_pnl}, fees {position.fees}"
    )
