"""The orders service: `python -m tapewire_services.orders`."""

from tapewire.log.group_commit import GroupCommitLog
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import orders as asked
from tapewire.runtime.contracts.progress import PROGRESS, GetProgress
from tapewire.views import OrdersView
from tapewire_services.orders.broker import PaperBroker
from tapewire_services.orders.broker_consumer import LEASE, run_broker
from tapewire_services.orders.command_handler import OrderCommandHandler
from tapewire_services.orders.progress import BrokerProgress
from tapewire_services.orders.service import OrdersService


async def wire(app: App) -> None:
    # 1. The market: which symbols there are, and what executes.
    market = QuoteCache(app.quotes)
    await market.start()
    app.on_stop(market.close)
    app.spawn(market.repair_gaps(), name="market")

    # 2. Orders, behind their decider.
    orders = OrderCommandHandler(GroupCommitLog(app.log))

    # 3. The paper broker, in one process of all.
    progress = BrokerProgress(market)
    app.run_leased(
        LEASE,
        lambda: run_broker(
            app.log,
            app.views,
            orders,
            lambda: PaperBroker(market),
            on_broker_started=progress.on_broker_started,
            holds_lease=lambda: app.leases.is_held(LEASE),
        ),
        {PROGRESS: Endpoint(GetProgress, progress.get_progress)},
    )

    # 4. Checkpoints of the users' views.
    await app.checkpoint_views(OrdersView)

    # 5. Answers, last: from here on the service is asked.
    service = OrdersService(app.log, app.views, orders, market)
    await app.serve_requests(
        {
            asked.PLACE: Endpoint(asked.PlaceOrder, service.place),
            asked.CANCEL: Endpoint(asked.CancelOrder, service.cancel),
            asked.GET: Endpoint(asked.GetOrder, service.get),
            asked.LIST: Endpoint(asked.ListOrders, service.list),
        }
    )


if __name__ == "__main__":
    run(asked.SERVICE, wire)
