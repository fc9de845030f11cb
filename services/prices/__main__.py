"""The wiring of the price service: `python -m tapewire_services.prices`."""

import os

from tapewire.log.backoff import new_rng
from tapewire.log.jetstream.bar_streams import BarStore, QuoteHistory
from tapewire.log.splits import SplitFollower
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import bars as contract
from tapewire_services.prices.bars import BarBook, BarBuilder, BarsService
from tapewire_services.prices.day_trades import DayTrades
from tapewire_services.prices.feed import ReplayFeed, create_feed
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
    feed, faults = create_feed(app.settings, os.environ, app.logger)
    app.on_stop(feed.close)

    # 2. The publisher. A NATS server that was restarted comes back without quotes, so the
    #    publisher confirms them when the connection is back.
    stale_seconds = app.settings.stale_seconds
    publisher = PriceUpdatePublisher(app.quotes, logger=app.logger, stale_seconds=stale_seconds)
    app.connection.state_listeners.append(publisher.confirm_all_soon)

    # 3. The status, answered by every process of the service.
    trades = DayTrades(utc_now)
    runner = FeedRunner(
        feed,
        publisher,
        trades,
        faults,
        logger=app.logger,
        is_continuous=isinstance(feed, ReplayFeed),
        stale_seconds=stale_seconds,
    )
    app.add_health_check(runner.find_problem)
    app.spawn(runner.watch_problem(app.status_reporter.report_health), name="feed problems")
    service = PricesService(runner, publisher, faults)
    await app.serve_requests({STATUS_ENDPOINT: Endpoint(GetStatus, service.status)})

    # 4. Build the bars of all symbols while this process holds the lease of the bars, which may be
    #    another process than the one that plays.
    book, store = BarBook(), BarStore(app.connection)
    builder = BarBuilder(book, QuoteHistory(app.connection), store, logger=app.logger)
    app.connection.state_listeners.append(builder.request_check)
    app.add_health_check(builder.find_problem)
    bars_service = BarsService(book, store, now=utc_now)
    splits = SplitFollower(app.log, bars_service.add_split, new_rng())
    app.spawn(splits.run(), name="splits")
    app.run_leased(
        BARS_LEASE_NAME,
        builder.run,
        {
            contract.BARS: Endpoint(contract.ListBars, bars_service.list_bars),
            contract.NEWEST: Endpoint(contract.GetNewestBars, bars_service.newest_bars),
        },
    )

    # 5. Play while this process holds the lease; resume a recording where it stopped. The random
    #    walk begins anew: to read what it was would take long.
    checkpointer = PlaybackCheckpointer(
        runner.progress,
        app.views,
        trades,
        faults,
        resume=feed.resume if app.settings.feed and isinstance(feed, ReplayFeed) else None,
        logger=app.logger,
    )
    app.run_leased(LEASE_NAME, lambda: checkpointer.run(runner.run))


if __name__ == "__main__":
    run(SERVICE, wiring)
