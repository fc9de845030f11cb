"""The price service as a process: `python -m tapewire_services.prices`."""

from collections.abc import Awaitable, Callable

from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import prices as asked
from tapewire_services.prices.feed import (
    create_replay_feed,
    create_stepped_source,
    parse_feed_symbols,
)
from tapewire_services.prices.playback_checkpoint import PlaybackCheckpointer
from tapewire_services.prices.service import LEASE_NAME, STATUS_ENDPOINT, GetStatus, PricesService
from tapewire_services.prices.stepper import RecordingStepper


async def wiring(app: App) -> None:
    if app.settings.feed_stepped:
        await _wire_stepping(app)
    else:
        await _wire_playback(app)


async def _wire_playback(app: App) -> None:
    # 1. The feed that the settings ask for; one that cannot be played ends the start here.
    feed = create_replay_feed(app.settings, app.logger)
    app.on_stop(feed.close)

    # 2. The service, told when NATS is back, because MARKET may have come back empty.
    prices = PricesService(feed, app.quotes, logger=app.logger)
    app.connection.state_listeners.append(prices.on_connection_state)

    # 3. What it answers, playing or standing by.
    await app.serve_requests({STATUS_ENDPOINT: Endpoint(GetStatus, prices.status)})

    # 4. Play while this process holds the lease; a recording from where it stands.
    work: Callable[[], Awaitable[None]] = prices.run
    if app.settings.feed:
        bookmark = PlaybackCheckpointer(feed, app.views, logger=app.logger)
        work = lambda: bookmark.run(prices.run)  # noqa: E731
    app.run_leased(LEASE_NAME, work)


async def _wire_stepping(app: App) -> None:
    # 1. The recording, and who steps it; told when NATS is back, as above.
    source, symbols = create_stepped_source(app.settings), parse_feed_symbols(app.settings)
    stepper = RecordingStepper(source, app.quotes, logger=app.logger, symbols=symbols)
    app.on_stop(stepper.close)
    app.connection.state_listeners.append(stepper.on_connection_state)

    # 2. What it answers, standing by too, and steps while this process holds the lease.
    await app.serve_requests({STATUS_ENDPOINT: Endpoint(GetStatus, stepper.status)})
    app.run_leased(
        LEASE_NAME, stepper.run, {asked.STEP: Endpoint(asked.StepRecording, stepper.step)}
    )


def main() -> None:
    run(asked.SERVICE, wiring)


if __name__ == "__main__":
    main()
