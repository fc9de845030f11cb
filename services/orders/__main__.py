"""The orders service: `python -m tapewire_services.orders`."""

import asyncio
import os
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from tapewire.log import CommandHandler, view_checkpoints
from tapewire.log.group_commit import GroupCommitLog
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import orders as contract
from tapewire.runtime.progress import ProgressReporter
from tapewire.views import OrderHistory, OrdersView, PositionsView, TradeHistory
from tapewire.views.account import AccountTerms
from tapewire_services.orders.broker_choice import BrokerChoice
from tapewire_services.orders.broker_health import BrokerHealth
from tapewire_services.orders.broker_reporter import BrokerReporter
from tapewire_services.orders.broker_runner import LEASE, MAX_STORING_TIME, BrokerRunner
from tapewire_services.orders.buying_power import BuyingPowerCheck
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import State
from tapewire_services.orders.execution_booking import FILTER, SUBSCRIPTION, ExecutionBooking
from tapewire_services.orders.exposure_gate import ExposureGate
from tapewire_services.orders.open_order_limit import OpenOrderLimit, count_open_orders
from tapewire_services.orders.service import OrdersService
from tapewire_services.orders.symbol_check import SymbolCheck
from tapewire_services.orders.symbol_splits import SymbolSplits


async def wiring(app: App) -> None:
    # 1. The quotes: which symbols exist, and the prices that orders execute at.
    quote_cache = await app.follow_quotes()

    # 2. Orders and their decider.
    command_handler: CommandHandler[State, Command] = CommandHandler(
        GroupCommitLog(app.log), ORDER_DECIDER
    )

    # 3. The broker, in one process only.
    booking = ExecutionBooking(
        app.log, command_handler, max_seconds_ahead=app.settings.max_clock_ahead
    )
    health = BrokerHealth()

    def holds_lease() -> bool:
        return app.leases.is_held(LEASE)

    broker = BrokerChoice(app.settings, quote_cache, app.views, health, holds_lease, os.environ)
    runner = BrokerRunner(
        app.log,
        app.views,
        BrokerReporter(command_handler, booking, holds_lease=holds_lease),
        broker.make_broker,
        max_storing_time=MAX_STORING_TIME,
        health=health,
    )
    app.add_readiness_check(health.find_failure)
    app.add_health_check(health.find_problem)
    app.spawn(health.watch(app.status_reporter.report_health), name="broker problems")
    progress = ProgressReporter(
        [runner.subscription],
        pending_count=runner.pending_count,
        # A broker handles a quote as soon as it is cached.
        quote_times=quote_cache.fresh_timestamps,  # nothing is executed at the others
    )
    splits = SymbolSplits(
        app.log,
        runner,
        quote_cache.add_split,
        app.quotes.bounds,
        quote_cache.knows_symbol,
        holds_lease,
    )
    endpoints = {contract.SPLIT: Endpoint(contract.SplitSymbol, splits.split)}
    app.run_leased(LEASE, runner.run, progress.endpoints() | endpoints)

    # 4. Executions that fitted no order when they were reported.
    await app.subscribe_durable(SUBSCRIPTION, FILTER, booking.retry_unmatched)

    # 5. The users' views and histories.
    await app.checkpoint_views(OrdersView, OrderHistory)
    await app.checkpoint_views(None, TradeHistory)

    # 6. Requests, last: from here on the service answers.
    open_order_limit = OpenOrderLimit(
        app.settings.max_open_orders,
        partial(count_open_orders, app.log, app.views),
        asyncio.get_running_loop().time,
    )

    async def load_positions(user: str) -> PositionsView:
        return (await view_checkpoints.load(app.log, app.views, PositionsView, user))[0]

    def price(symbol: str) -> Decimal | None:
        quote = quote_cache.quote(symbol)
        return None if quote is None else quote.price

    settings = app.settings
    terms = AccountTerms.from_settings(settings.starting_balance, settings.max_leverage)
    buying_power = BuyingPowerCheck(app.log, app.views, terms, price, lambda: datetime.now(UTC))
    service = OrdersService(
        app.log,
        app.views,
        command_handler,
        SymbolCheck(quote_cache, load_positions),
        open_order_limit,
        exposure_gate=ExposureGate(app.is_journal_nearly_full, load_positions),
        buying_power=None if terms.max_leverage is None else buying_power,
        broker_confirms_at_once=broker.confirms_at_once,
        count_splits=quote_cache.split_count,
    )
    await app.serve_requests(
        {
            contract.PLACE: Endpoint(contract.PlaceOrder, service.place),
            contract.CANCEL: Endpoint(contract.CancelOrder, service.cancel),
            contract.REPLACE: Endpoint(contract.ReplaceOrder, service.replace),
            contract.CORRECT: Endpoint(contract.CorrectExecution, service.correct),
            contract.GET: Endpoint(contract.GetOrder, service.get),
            contract.LIST: Endpoint(contract.ListOrders, service.list),
            contract.TRADES: Endpoint(contract.ListTrades, service.list_trades),
        }
    )


if __name__ == "__main__":
    run(contract.SERVICE, wiring)
