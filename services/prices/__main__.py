"""The wiring of the price service: `python -m tapewire_services.prices`."""

from tapewire.runtime import App, Endpoint, run
from tapewire_services.prices.feed import create_replay_feed
from tapewire_services.prices.playback_checkpoint import PlaybackCheckpointer
from tapewire_services.prices.publisher import PriceUpdatePublisher
from tapewire_services.prices.runner import FeedRunner
from tapewire_services.prices.service import (
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
    runner = FeedRunner(feed, publisher, logger=app.logger, stale_seconds=stale_seconds)
    app.add_health_check(runner.find_silence)
    app.spawn(runner.watch_silence(app.status_reporter.report_health), name="feed silence")
    service = PricesService(feed, runner, publisher)
    await app.serve_requests({STATUS_ENDPOINT: Endpoint(GetStatus, service.status)})

    # 4. Play while this process holds the lease; resume a recording where it stopped.
    if app.settings.feed:
        checkpointer = PlaybackCheckpointer(feed, app.views, logger=app.logger)
        app.run_leased(LEASE_NAME, lambda: checkpointer.run(runner.run))
    else:
        app.run_leased(LEASE_NAME, runner.run)


if __name__ == "__main__":
    run(SERVICE, wiring)
