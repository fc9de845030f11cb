"""The wiring of the price service: `python -m tapewire_services.prices`."""

from tapewire.log.jetstream.bar_streams import BarStore, QuoteHistory
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import bars as contract
from tapewire_services.prices.bars import BarBook, BarBuilder, BarsService
from tapewire_services.prices.day_trades import DayTrades
from tapewire_services.prices.feed import create_replay_feed
from tapewire_services.prices.playback_checkpoint import PlaybackCheckpointer
from tapewire_services.prices.publisher import PriceUpdatePublisher
from tapewire_services.prices.runner import FeedRunner, utc_now
from tapewire_services.prices.service import (
    BARS_LEASE_NAME,
    LEASE_NAME,
    SERVICE,
    STATUS_ENDPOINT,
    GetStatus,
    PricesService,
)


async def wiring(app: App) -> None:
    # 1. The feed that the settings ask for. A feed that cannot be played ends the start here.
    feed = create_replay_feed(app.settings, app.logger)
    app.on_stop(feed.close)

    # 2. The publisher. A NATS server that was restarted comes back without quotes, so the
    #    publisher confirms them when the connection is back.
    stale_seconds = app.settings.stale_seconds
    publisher = PriceUpdatePublisher(app.quotes, logger=app.logger, stale_seconds=stale_seconds)
    app.connection.state_listeners.append(publisher.confirm_all_soon)

    # 3. The status, answered by every process of the service.
    trades = DayTrades(utc_now)
    runner = FeedRunner(feed, publisher, trades, logger=app.logger, stale_seconds=stale_seconds)
    app.add_health_check(runner.find_silence)
    app.spawn(runner.watch_silence(app.status_reporter.report_health), name="feed silence")
    service = PricesService(feed, runner, publisher)
    await app.serve_requests({STATUS_ENDPOINT: Endpoint(GetStatus, service.status)})

    # 4. Build the bars of all symbols while this process holds the lease of the bars, which may be
    #    another process than the one that plays.
    book, store = BarBook(), BarStore(app.connection)
    builder = BarBuilder(book, QuoteHistory(app.connection), store, logger=app.logger)
    app.connection.state_listeners.append(builder.request_check)
    app.add_health_check(builder.find_problem)
    bars_service = BarsService(book, store, now=utc_now)
    app.run_leased(
        BARS_LEASE_NAME,
        builder.run,
        {
            contract.BARS: Endpoint(contract.ListBars, bars_service.list_bars),
            contract.NEWEST: Endpoint(contract.GetNewestBars, bars_service.newest_bars),
        },
    )

    # 5. Play while this process holds the lease; resume a recording where it stopped.
    if app.settings.feed:
        checkpointer = PlaybackCheckpointer(feed, app.views, trades, logger=app.logger)
        app.run_leased(LEASE_NAME, lambda: checkpointer.run(runner.run))
    else:
        app.run_leased(LEASE_NAME, runner.run)


if __name__ == "__main__":
    run(SERVICE, wiring)
