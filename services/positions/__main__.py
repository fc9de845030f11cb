"""The positions service: `python -m tapewire_services.positions`."""

from datetime import UTC, datetime

from tapewire.log.last_quotes import CHECKPOINT_NAME as LAST_QUOTES
from tapewire.log.last_quotes import LastQuoteKeeper
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import positions as contract
from tapewire.runtime.progress import ProgressReporter
from tapewire.views import PositionsView
from tapewire.views.account import AccountTerms
from tapewire_services.positions.equity_sampler import EquitySampler
from tapewire_services.positions.service import PositionsService
from tapewire_services.positions.trade_consumer import LEASE, subscribe_to_trades


async def wiring(app: App) -> None:
    # 1. The quotes that positions are valued at.
    quote_cache = await app.follow_quotes()
    settings = app.settings
    terms = AccountTerms.from_settings(settings.starting_balance, settings.max_leverage)

    # 2. Trades become positions, valuations and equity curves, in one process only.
    def make_sampler() -> EquitySampler:
        return EquitySampler(
            app.log,
            app.views,
            quote_cache,
            terms,
            interval_seconds=settings.equity_interval,
            now=lambda: datetime.now(UTC),
        )

    trades = subscribe_to_trades(
        app.log,
        app.views,
        app.valuations,
        quote_cache,
        make_sampler=make_sampler if settings.equity_interval else None,
    )
    app.run_leased(LEASE, trades.run, ProgressReporter([trades]).endpoints())

    # 3. The last quotes, also of what nobody holds, for a restart of the message server.
    app.run_leased(LAST_QUOTES, LastQuoteKeeper(app.last_quotes, quote_cache).run)

    # 4. Checkpoints of the users' views.
    await app.checkpoint_views(PositionsView)

    # 5. Requests, last: from here on the service answers.
    service = PositionsService(app.log, app.views, quote_cache, terms)
    await app.serve_requests(
        {
            contract.LIST: Endpoint(contract.ListPositions, service.list),
            contract.ACCOUNT: Endpoint(contract.GetAccount, service.account),
            contract.EQUITY: Endpoint(contract.ListEquity, service.list_equity),
        }
    )


if __name__ == "__main__":
    run(contract.SERVICE, wiring)
