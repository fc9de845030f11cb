"""`tapewire split`: splits the shares of a symbol, and waits until everything has followed."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from tapewire.cli.completion import complete_symbols
from tapewire.cli.connection import nats_option, run_connected
from tapewire.cli.errors import EXIT_UNAVAILABLE, CliError
from tapewire.log.jetstream import NatsConnection
from tapewire.runtime import RequestClient, RequestTimeout, Settings
from tapewire.runtime.contracts import orders
from tapewire.runtime.contracts.progress import PROGRESS, GetProgress, Progress

_Reply = TypeVar("_Reply")

POLL_SECONDS = 0.3
FOLLOWERS = {
    "positions": {"trades": "ev.*.trades.>"},
    "strategies": {"strategies": "ev.*.strategies.>", "orders": "ev.*.orders.>"},
    "alerts": {"rules": "ev._all.rules.>"},
}
"""The domains of the split that the process with each service's lease must have handled, with the
filters of its subscriptions."""


@click.command()
@click.argument("symbol", shell_complete=complete_symbols)
@click.argument("ratio", metavar="RATIO")
@click.option("--id", "split_id", metavar="ID",
              help="The split's id, which is executed once. [SYMBOL-RATIO-DAY, UTC]")  # fmt: skip
@click.option("--wait", "wait_seconds", type=click.FloatRange(min=0), default=120,
              show_default=True, help="Seconds to wait for all services.")  # fmt: skip
@nats_option
def split(
    symbol: str, ratio: str, split_id: str | None, wait_seconds: float, nats: str | None
) -> None:
    """Split the shares of SYMBOL: RATIO is 10:1 for ten new shares in the place of one old share,
    1:10 for the reverse.

    Run it while the symbol is not quoted: after the last quote of an old share, and before the
    first one of a new share. From this command on, nothing of the symbol is executed, valued or
    watched until it is quoted again. Positions, open orders, strategies and rules with a price
    follow; no cash and no profit changes. It may be interrupted and run again under the same id.

    Exits with 0 when everything has followed, 3 when a service does not answer or is not done
    after `--wait` seconds. Only an administrator of NATS may do this.
    """
    shares, for_shares = _parse_ratio(ratio)
    day = time.strftime("%Y%m%d", time.gmtime())
    request = orders.SplitSymbol(
        split_id=split_id or f"{symbol}-{shares}-{for_shares}-{day}",
        symbol=symbol,
        shares=shares,
        for_shares=for_shares,
    )

    async def work(connection: NatsConnection, _: Settings) -> None:
        await _Progress(RequestClient(connection), request, wait_seconds).run()

    run_connected("split", nats, work)


def _parse_ratio(ratio: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9][0-9]{0,4}):([1-9][0-9]{0,4})", ratio)
    if found is None:
        raise CliError(f"RATIO: write it like 10:1 or 3:2, not {ratio!r}")
    return int(found[1]), int(found[2])


class _Progress:
    """Waits for each service in turn, and prints how far it is."""

    def __init__(
        self, requests: RequestClient, request: orders.SplitSymbol, wait_seconds: float
    ) -> None:
        self._requests = requests
        self._request = request
        self._deadline = time.monotonic() + wait_seconds
        self._printed = ""

    async def run(self) -> None:
        reply = await self._ask(self._split)
        while reply.unsplit_orders:
            await self._wait(f"orders: {reply.unsplit_orders:,} still have the old terms")
            reply = await self._ask(self._split)
        split = reply.split
        click.echo(f"split {split.split_id}: number {split.number} of {split.symbol}; orders: done")
        for service, filters in FOLLOWERS.items():
            while (late := await self._find_late(service, filters, reply.sequences)) is not None:
                await self._wait(f"{service}: {late}")
            click.echo(f"{service}: done")
        click.echo(f"{split.symbol} may be quoted in the new shares now")

    async def _split(self) -> orders.SplitReply:
        return await self._requests.request(
            orders.SERVICE,
            orders.SPLIT,
            self._request,
            orders.SplitReply,
            correlation=self._request.split_id,
        )

    async def _find_late(
        self, service: str, filters: dict[str, str], sequences: dict[str, int]
    ) -> str | None:
        """What the service has not handled yet; None if it has handled everything."""

        async def ask() -> Progress:
            return await self._requests.request(
                service, PROGRESS, GetProgress(), Progress, correlation=self._request.split_id
            )

        progress = await self._ask(ask)
        for domain, filter_ in filters.items():
            handled = progress.taken.get(filter_, 0)
            if handled < sequences[domain]:
                return f"event {handled:,} of {sequences[domain]:,}"
        return None

    async def _ask(self, ask: Callable[[], Awaitable[_Reply]]) -> _Reply:
        """The answer; a service that is being replaced is asked again."""
        while True:
            try:
                return await ask()
            except RequestTimeout as error:
                if self._is_late():
                    raise  # with a cure
                await self._wait(str(error))

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    async def _wait(self, what: str) -> None:
        if self._is_late():
            raise CliError(f"not done yet, run the command again: {what}", EXIT_UNAVAILABLE)
        if what != self._printed:
            click.echo(what, err=True)
            self._printed = what
        await asyncio.sleep(POLL_SECONDS)
