"""The price service as a process: `python -m services.prices`."""

from services.prices.feed import chosen
from services.prices.service import LEASE, STATUS, AskStatus, Prices
from tapewire.runtime import App, Endpoint, run


async def wiring(app: App) -> None:
    # 1. The feed that the settings ask for; one that cannot be played ends the start here.
    feed = chosen(app.settings, app.logger)
    app.on_stop(feed.close)

    # 2. The service, told when NATS is back, because MARKET may have come back empty.
    prices = Prices(feed, app.market, logger=app.logger)
    app.wire.on_state.append(prices.nudge)

    # 3. What it answers, playing or standing by.
    await app.answer({STATUS: Endpoint(AskStatus, prices.status)})

    # 4. Play while this process holds the lease.
    app.leased(LEASE, prices.work)


def main() -> None:
    run("prices", wiring)


if __name__ == "__main__":
    main()
