"""The price service as a process: `python -m services.prices`."""

from collections.abc import Awaitable, Callable

from services.prices.bookmark import Bookmark
from services.prices.feed import chosen, stepped, wanted
from services.prices.service import LEASE, STATUS, AskStatus, Prices
from services.prices.stepping import Stepper
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import prices as asked


async def wiring(app: App) -> None:
    if app.settings.feed_stepped:
        await _stepped(app)
    else:
        await _played(app)


async def _played(app: App) -> None:
    # 1. The feed that the settings ask for; one that cannot be played ends the start here.
    feed = chosen(app.settings, app.logger)
    app.on_stop(feed.close)

    # 2. The service, told when NATS is back, because MARKET may have come back empty.
    prices = Prices(feed, app.market, logger=app.logger)
    app.wire.on_state.append(prices.nudge)

    # 3. What it answers, playing or standing by.
    await app.answer({STATUS: Endpoint(AskStatus, prices.status)})

    # 4. Play while this process holds the lease; a recording from where it stands.
    work: Callable[[], Awaitable[None]] = prices.work
    if app.settings.feed:
        bookmark = Bookmark(feed, app.views, logger=app.logger)
        work = lambda: bookmark.work(prices.work)  # noqa: E731
    app.leased(LEASE, work)


async def _stepped(app: App) -> None:
    # 1. The recording, and who steps it; told when NATS is back, as above.
    source, symbols = stepped(app.settings), wanted(app.settings)
    stepper = Stepper(source, app.market, logger=app.logger, wanted=symbols)
    app.on_stop(stepper.close)
    app.wire.on_state.append(stepper.nudge)

    # 2. What it answers, standing by too, and steps while this process holds the lease.
    await app.answer({STATUS: Endpoint(AskStatus, stepper.status)})
    app.leased(LEASE, stepper.work, {asked.STEP: Endpoint(asked.Step, stepper.step)})


def main() -> None:
    run(asked.SERVICE, wiring)


if __name__ == "__main__":
    main()
