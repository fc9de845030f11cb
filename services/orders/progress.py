"""How far the broker of this process is: `svc.orders.progress`, answered by who holds the lease."""

from services.orders.broker import Broker
from services.orders.desk import ORDERS, Desk
from tapewire.log import Unavailable
from tapewire.log.market import Market
from tapewire.runtime import Context
from tapewire.runtime.contracts.progress import AskProgress, Progress


class BrokersProgress:
    """Told of each broker that begins, and answers for the last one."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._desk: Desk | None = None
        self._broker: Broker | None = None

    def begins(self, desk: Desk, broker: Broker) -> None:
        """This broker works at this desk from now on."""
        self._desk, self._broker = desk, broker

    async def progress(self, _request: AskProgress, _context: Context) -> Progress:
        """The endpoint. Raises Unavailable while the desk does not know all open orders yet.

        A broker hears of a quote as soon as the market has it, and is busy from there on.
        """
        if self._desk is None or self._broker is None or self._desk.taken is None:
            raise Unavailable("the broker is still reading the open orders")
        quotes = [self._market.quote(symbol) for symbol in self._market.symbols()]
        return Progress(
            busy=self._broker.busy,
            taken={ORDERS: self._desk.taken},
            quotes={quote.symbol: quote.timestamp for quote in quotes if quote is not None},
        )
