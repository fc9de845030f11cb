"""The orders service: `python -m services.orders`."""

from services.orders.broker import PaperBroker
from services.orders.deciding import Orders
from services.orders.desk import LEASE, run_broker
from services.orders.progress import BrokersProgress
from services.orders.service import OrdersService
from tapewire.log.grouping import GroupedLog
from tapewire.log.market import Market
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import orders as asked
from tapewire.runtime.contracts.progress import PROGRESS, AskProgress
from tapewire.views import OrdersView


async def wiring(app: App) -> None:
    # 1. The market: which symbols there are, and what executes.
    market = Market(app.market)
    await market.start()
    app.on_stop(market.close)
    app.spawn(market.follow(), name="market")

    # 2. Orders, behind their decider.
    orders = Orders(GroupedLog(app.log))

    # 3. The paper broker, in one process of all.
    progress = BrokersProgress(market)
    app.leased(
        LEASE,
        lambda: run_broker(
            app.log,
            app.views,
            orders,
            lambda: PaperBroker(market),
            begins=progress.begins,
            held=lambda: app.leases.held(LEASE),
        ),
        {PROGRESS: Endpoint(AskProgress, progress.progress)},
    )

    # 4. Checkpoints of the users' views.
    await app.project(OrdersView)

    # 5. Answers, last: from here on the service is asked.
    service = OrdersService(app.log, app.views, orders, market)
    await app.answer(
        {
            asked.PLACE: Endpoint(asked.PlaceOrder, service.place),
            asked.CANCEL: Endpoint(asked.CancelOrder, service.cancel),
            asked.GET: Endpoint(asked.GetOrder, service.get),
            asked.LIST: Endpoint(asked.ListOrders, service.list),
        }
    )


if __name__ == "__main__":
    run(asked.SERVICE, wiring)
