"""`tapewire reconcile`: prove that positions equal the fold of all trades, or say where not.

The positions service does the proving (the request `reconcile`); this asks, prints and ends with a
code that a script can act on.
"""

import asyncio

import click

from tapewire.cli.here import nats_option, nats_url
from tapewire.cli.trouble import EXIT_UNAVAILABLE, Trouble, settings_from_env
from tapewire.events import CODEC, Position
from tapewire.log import Unavailable, new_id
from tapewire.log.jetstream import connect
from tapewire.runtime import Refusal, Requests, Unanswered, logs
from tapewire.runtime.contracts.positions import (
    RECONCILE,
    SERVICE,
    Difference,
    Reconcile,
    ReconcileReply,
)

EXIT_DIFFERENT = 1
"""Positions differ from the fold of their trades."""
SECONDS = 60.0


@click.command()
@click.option("--user", metavar="NAME", help="Only this user's positions; else everybody's.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole reply as one line of JSON.")
@click.option("--seconds", type=click.FloatRange(1.0, 3600.0), default=SECONDS, show_default=True,
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
    settings = settings_from_env()
    logs.set_up("reconcile", format_=settings.log_format, level="error")
    url, request = nats_url(nats, settings), Reconcile(user_id=user)
    try:
        reply = asyncio.run(_ask(url, settings.nats_wait, request, seconds))
    except Refusal as refusal:
        raise Trouble(refusal.message) from refusal
    except UnicodeEncodeError as error:
        raise Trouble(f"--user {user!a} is no text: {error}") from error
    except (Unavailable, Unanswered) as error:
        raise Trouble(str(error), EXIT_UNAVAILABLE) from error
    click.echo(CODEC.encode(reply).decode() if as_json else "\n".join(lines(reply)))
    context.exit(EXIT_DIFFERENT if reply.differing else 0)


async def _ask(url: str, wait: float, request: Reconcile, seconds: float) -> ReconcileReply:
    wire = await connect(url, "tapewire reconcile", wait_seconds=wait)
    try:
        return await Requests(wire).ask(
            SERVICE, RECONCILE, request, ReconcileReply, correlation=new_id(), seconds=seconds
        )
    finally:
        await wire.close()


def lines(reply: ReconcileReply) -> list[str]:
    """What people read: each difference, then the verdict."""
    compared = f"{reply.positions} positions, {reply.trades} trades, {reply.events} events"
    extra = f", {reply.pending} pending, {reply.unusable} unusable"
    verdict = f"{reply.differing} positions differ" if reply.differing else "equal"
    untold = reply.differing - len(reply.differences)
    return [
        *(_line(one) for one in reply.differences),
        *([f"and {untold} more"] if untold else []),
        f"{verdict}: {compared}{extra}, as of {reply.epoch}-{reply.as_of}",
    ]


def _line(one: Difference) -> str:
    where = f"trade {one.trade_id} at {one.trade_sequence}"
    where += "" if one.sequence is None else f", event at {one.sequence}"
    told = f"expected {_position(one.expected)}, found {_position(one.found)}"
    return f"{one.kind.value}: {one.user_id} {one.symbol} ({where}): {told}"


def _position(position: Position | None) -> str:
    if position is None:
        return "none"
    return (
        f"{position.quantity} for {position.cost_basis}, "
        f"realized {position.realized_pnl}, fees {position.fees}"
    )
