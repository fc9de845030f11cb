"""The positions service: `python -m tapewire_services.positions`."""

from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import positions as asked
from tapewire.runtime.progress import ProgressReporter
from tapewire.views import PositionsView
from tapewire_services.positions.position_valuer import PositionValuer
from tapewire_services.positions.service import PositionsService
from tapewire_services.positions.trade_consumer import (
    LEASE,
    run_positions,
    subscribe_to_trades,
)


async def wiring(app: App) -> None:
    # 1. The market: what positions are worth.
    market = QuoteCache(app.quotes)
    await market.start()
    app.on_stop(market.close)
    app.spawn(market.repair_gaps(), name="market")

    # 2. Trades into positions, and their values, in one process of all.
    valuer = PositionValuer(app.valuations, market)
    trades = subscribe_to_trades(app.log, app.views, valuer)
    app.run_leased(
        LEASE, lambda: run_positions(trades, valuer), ProgressReporter([trades]).endpoints()
    )

    # 3. Checkpoints of the users' views.
    await app.checkpoint_views(PositionsView)

    # 4. Answers, last: from here on the service is asked.
    service = PositionsService(app.log, app.views, market)
    await app.serve_requests(
        {
            asked.LIST: Endpoint(asked.ListPositions, service.list),
        }
    )


if __name__ == "__main__":
    run(asked.SERVICE, wiring)
