"""The positions service on a journal in memory, wired as the service wires itself."""

import asyncio
from decimal import Decimal

from tapewire.log import new_id
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.positions import GetAccount, ListPositions
from tapewire.views.account import AccountTerms
from tapewire_services.positions.service import PositionsService
from tapewire_services.positions.trade_consumer import subscribe_to_trades

POLL_SECONDS = 0.01
STARTING_BALANCE = Decimal(100_000)


class PositionsProcess:
    """The positions and the account that the trades of a trial add up to.

    Args:
        timeout_seconds: how long to wait for anything.
    """

    def __init__(self, server: MemoryServer, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._log = log = MemoryEventLog(server)
        views = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
        quotes = MemoryLatestValueStore(server)
        valuations = MemoryLatestValueStore(server, prefix="mk")
        self._connections = (log, views, quotes, valuations)
        self._quote_cache = QuoteCache(quotes)
        self._trades = subscribe_to_trades(log, views, valuations, self._quote_cache)
        self._service = PositionsService(
            log, views, self._quote_cache, AccountTerms(starting_balance=STARTING_BALANCE)
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Apply all trades to the positions, from the first on."""
        await self._quote_cache.start()
        work = (self._quote_cache.run(), self._trades.run())
        self._tasks = [asyncio.create_task(one) for one in work]

    async def stop(self) -> None:
        """End the process. Raises what went wrong in it."""
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for connection in self._connections:
            connection.kill()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def wait_for(
        self, user: str, symbol: str, quantity: str, *, paid: str | None = None
    ) -> None:
        """Wait until `user` holds `quantity` shares of `symbol`, and has `paid` so many dollars for
        shares since the beginning, without fees; below 0 is received. Raises AssertionError after
        the timeout, with what the service answers instead."""
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        while True:
            held, cost = await self._find(user, symbol)
            if held == Decimal(quantity) and (paid is None or cost == Decimal(paid)):
                return
            assert asyncio.get_running_loop().time() < deadline, (
                f"{user} holds {held} {symbol} for {cost}, not {quantity} for {paid or 'anything'}"
            )
            await asyncio.sleep(POLL_SECONDS)

    async def _find(self, user: str, symbol: str) -> tuple[Decimal, Decimal]:
        context = RequestContext(correlation=new_id(), command_id=new_id(), traceparent=None)
        positions = (await self._service.list(ListPositions(user_id=user), context)).positions
        account = await self._service.account(GetAccount(user_id=user), context)
        quantity = sum((one.quantity for one in positions if one.symbol == symbol), Decimal(0))
        return quantity, STARTING_BALANCE - account.cash - (account.fees or Decimal(0))
