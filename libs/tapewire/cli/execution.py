"""`tapewire execution`: corrects or busts an execution for a venue that said so elsewhere."""

from decimal import Decimal, InvalidOperation
from typing import Any

import click

from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.errors import CliError
from tapewire.decimals import format_decimal
from tapewire.log import new_id
from tapewire.log.jetstream import NatsConnection
from tapewire.runtime import RequestClient, RequestTimeout, Settings
from tapewire.runtime.contracts.orders import CORRECT, SERVICE, CorrectExecution, OrderReply

MAX_TRIES = 3
"""Every try has the same command id, so nothing is corrected twice."""


class _Number(click.ParamType[Decimal]):
    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        try:
            number = Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is no number", param, ctx)
        if not number.is_finite():
            self.fail(f"{value!r} is no number", param, ctx)
        return number


def execution_options(command: Any) -> Any:
    """Add the options that name an execution, and that of its correction."""
    for option in (
        click.option("--correction", "correction_id", metavar="ID",
                     help="What the venue calls the correction; the same id is booked once."),
        click.option("--execution", "execution_id", metavar="ID",
                     help="What the venue calls the execution, with --order."),
        click.option("--order", "order_id", metavar="ID", help="The order, with --execution."),
        click.option("--trade", "trade_id", metavar="ID",
                     help="The trade, as in /api/trades: instead of --order and --execution."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group()
def execution() -> None:
    """Correct or bust an execution, for a venue that said so by telephone or e-mail.

    Order, trade, position, profit and strategy become what they would be if the execution had
    always been like this. Its user is alerted. Only an administrator of NATS may do this.
    """


@execution.command("bust")
@execution_options
@nats_option
def bust(nats: str | None, **names: str | None) -> None:
    """Undo an execution: it never happened."""
    _send(CorrectExecution(is_busted=True, **_check_names(names)), nats)


@execution.command("correct")
@click.option("--qty", type=_Number(), help="What changed hands.")
@click.option("--price", type=_Number(), help="At which price.")
@click.option("--fee", type=_Number(), help="Below 0 when it is a rebate.")
@execution_options
@nats_option
def correct(
    nats: str | None,
    qty: Decimal | None,
    price: Decimal | None,
    fee: Decimal | None,
    **names: str | None,
) -> None:
    """Change the quantity, the price or the fee of an execution."""
    if qty is None and price is None and fee is None:
        raise CliError("say what is corrected: --qty, --price or --fee")
    _send(CorrectExecution(qty=qty, price=price, fee=fee, **_check_names(names)), nats)


def _check_names(names: dict[str, str | None]) -> dict[str, Any]:
    has_trade = names["trade_id"] is not None
    if has_trade is (names["order_id"] is not None) or (
        has_trade is (names["execution_id"] is not None)
    ):
        raise CliError("name the execution by --trade, or by --order and --execution")
    return names


def _send(request: CorrectExecution, nats: str | None) -> None:
    async def send(connection: NatsConnection, _: Settings) -> OrderReply:
        requests, command_id = RequestClient(connection), new_id()
        for _try in range(MAX_TRIES - 1):
            try:
                return await _request(requests, request, command_id)
            except RequestTimeout:
                continue
        return await _request(requests, request, command_id)

    order = run_connected("execution", nats, send).order
    price = order.filled_avg_price
    at = "" if price is None else f" at {format_decimal(price)}"
    filled = f"{format_decimal(order.filled_qty)} of {format_decimal(order.qty)} filled{at}"
    click.echo(f"order {order.order_id} {order.symbol}: {order.status.value}, {filled}")


async def _request(
    requests: RequestClient, request: CorrectExecution, command_id: str
) -> OrderReply:
    return await requests.request(
        SERVICE, CORRECT, request, OrderReply, correlation=command_id, command_id=command_id
    )
