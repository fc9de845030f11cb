"""The positions service: `python -m tapewire_services.positions`."""

from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import positions as contract
from tapewire.runtime.progress import ProgressReporter
from tapewire.views import PositionsView
from tapewire_services.positions.service import PositionsService
from tapewire_services.positions.trade_consumer import LEASE, subscribe_to_trades


async def wiring(app: App) -> None:
    # 1. The quotes that positions are valued at.
    quote_cache = QuoteCache(app.quotes, stale_seconds=app.settings.stale_seconds)
    await quote_cache.start()
    app.on_stop(quote_cache.close)
    app.spawn(quote_cache.run(), name="quotes")

    # 2. Trades become positions and valuations, in one process only.
    trades = subscribe_to_trades(app.log, app.views, app.valuations, quote_cache)
    app.run_leased(LEASE, trades.run, ProgressReporter([trades]).endpoints())

    # 3. Checkpoints of the users' views.
    await app.checkpoint_views(PositionsView)

    # 4. Requests, last: from here on the service answers.
    service = PositionsService(app.log, app.views, quote_cache)
    await app.serve_requests({contract.LIST: Endpoint(contract.ListPositions, service.list)})


if __name__ == "__main__":
    run(contract.SERVICE, wiring)
