"""The positions service: `python -m services.positions`."""

from services.positions.service import PositionsService
from services.positions.taking import LEASE, run_positions
from services.positions.valuing import Valuer
from tapewire.log import Unavailable
from tapewire.log.market import Market
from tapewire.runtime import App, Context, Endpoint, run
from tapewire.runtime.contracts import positions as asked
from tapewire.runtime.contracts.progress import PROGRESS, AskProgress, Progress
from tapewire.views import PositionsView


async def wiring(app: App) -> None:
    # 1. The market: what positions are worth.
    market = Market(app.market)
    await market.start()
    app.on_stop(market.close)
    app.spawn(market.follow(), name="market")

    # 2. Trades into positions, and their values, in one process of all.
    valuer = Valuer(app.valuations, market)
    places: dict[str, int] = {}

    async def progress(_request: AskProgress, _context: Context) -> Progress:
        if not places:
            raise Unavailable("still reading the trades")
        return Progress(busy=0, taken=dict(places), quotes={})

    app.leased(
        LEASE,
        lambda: run_positions(app.log, app.views, valuer, places=places),
        {PROGRESS: Endpoint(AskProgress, progress)},
    )

    # 3. Checkpoints of the users' views.
    await app.project(PositionsView)

    # 4. Answers, last: from here on the service is asked.
    service = PositionsService(app.log, app.views, market)
    await app.answer(
        {
            asked.LIST: Endpoint(asked.ListPositions, service.list),
            asked.RECONCILE: Endpoint(asked.Reconcile, service.reconcile),
        }
    )


if __name__ == "__main__":
    run(asked.SERVICE, wiring)
