"""The alerts service: `python -m tapewire_services.alerts`."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tapewire.log import CommandHandler
from tapewire.log.arrival_time import ArrivalTime
from tapewire.log.catch_up_subscription import CatchUpSubscription, EventConsumer
from tapewire.log.group_commit import GroupCommitLog
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import alerts, notifications
from tapewire.runtime.contracts.progress import NOTIFICATION_PROGRESS
from tapewire.runtime.progress import ProgressReporter
from tapewire.views import (
    AlertHistory,
    NotificationHistory,
    NotificationsView,
    RulesView,
)
from tapewire_services.alerts.armed_rule_index import ArmedRuleIndex
from tapewire_services.alerts.domain.rules import RULE_DECIDER
from tapewire_services.alerts.event_consumers import (
    NOTIFICATION_FILTERS,
    RULE_TRIGGER_FILTERS,
    EventRuleConsumer,
    NotificationConsumer,
)
from tapewire_services.alerts.notification_writer import NotificationWriter
from tapewire_services.alerts.notifications_service import NotificationsService
from tapewire_services.alerts.price_monitor import PriceMonitor
from tapewire_services.alerts.rule_splits import FILTER, SUBSCRIPTION, RuleSplitConsumer
from tapewire_services.alerts.rule_trigger import RuleTrigger
from tapewire_services.alerts.service import AlertsService


async def wiring(app: App, arrival_time: ArrivalTime | None = None) -> None:
    """Wire the service. `arrival_time` says when a quote counts: by default when it arrives."""
    # 1. The quotes: which symbols exist, and the prices that rules watch.
    quote_cache = await app.follow_quotes()

    # 2. Rules and notifications, with their deciders.
    log = GroupCommitLog(app.log)
    command_handler = CommandHandler(log, RULE_DECIDER)
    rule_trigger = RuleTrigger(command_handler)
    writer = NotificationWriter(log)

    # 3. In every process: evaluate prices, and follow which rules are armed.
    price_monitor = PriceMonitor(quote_cache, app.views, rule_trigger, arrival_time=arrival_time)
    price_monitor.start()
    armed_rules = ArmedRuleIndex(app.log, app.views, price_monitor)
    app.spawn(armed_rules.subscription.run(), name="armed rules")
    app.spawn(price_monitor.restore_extremes(), name="price extremes")

    # 4. Each in one process only: trigger rules, and write the notifications that events cause.
    splits = CatchUpSubscription(
        app.log,
        app.views,
        name=SUBSCRIPTION,
        filter_=FILTER,
        make_consumer=lambda: RuleSplitConsumer(command_handler, app.log),
    )
    _run_leased_triggers(app, quote_cache, price_monitor, armed_rules, rule_trigger, splits)
    _run_leased_notifications(app, writer)

    # 5. The users' views and histories.
    await app.checkpoint_views(RulesView)
    await app.checkpoint_views(None, AlertHistory)
    await app.checkpoint_views(NotificationsView, NotificationHistory)

    # 6. Requests, last: from here on the service answers.
    service = AlertsService(app.log, app.views, command_handler, quote_cache)
    inbox = NotificationsService(app.log, app.views, writer)
    await app.serve_requests(
        {
            alerts.CREATE: Endpoint(alerts.CreateRule, service.create_rule),
            alerts.ARM: Endpoint(alerts.ArmRule, service.arm_rule),
            alerts.DELETE: Endpoint(alerts.DeleteRule, service.delete_rule),
            alerts.RULES: Endpoint(alerts.ListRules, service.list_rules),
            alerts.LIST: Endpoint(alerts.ListAlerts, service.list_alerts),
            notifications.LIST: Endpoint(notifications.ListNotifications, inbox.list),
            notifications.READ: Endpoint(notifications.ReadNotifications, inbox.read),
            notifications.SEND: Endpoint(notifications.SendNotification, inbox.send),
        }
    )


def _run_leased_triggers(
    app: App,
    quote_cache: QuoteCache,
    price_monitor: PriceMonitor,
    armed_rules: ArmedRuleIndex,
    rule_trigger: RuleTrigger,
    splits: CatchUpSubscription[RuleSplitConsumer],
) -> None:
    subscriptions = _subscribe(
        app, RULE_TRIGGER_FILTERS, lambda: EventRuleConsumer(armed_rules, rule_trigger)
    )
    progress = ProgressReporter(
        [*subscriptions, armed_rules.subscription, splits],
        flush=price_monitor.save_extremes,
        pending_count=lambda: price_monitor.pending_count,
        # A quote is evaluated as soon as it is cached.
        quote_times=quote_cache.timestamps,
    )
    app.run_leased(
        "alerts",
        lambda: _run_together(
            price_monitor.run(), splits.run(), *(one.run() for one in subscriptions)
        ),
        progress.endpoints(),
    )


def _run_leased_notifications(app: App, writer: NotificationWriter) -> None:
    subscriptions = _subscribe(app, NOTIFICATION_FILTERS, lambda: NotificationConsumer(writer))
    app.run_leased(
        "notifications",
        lambda: _run_together(*(one.run() for one in subscriptions)),
        ProgressReporter(subscriptions).endpoints(NOTIFICATION_PROGRESS),
    )


def _subscribe(
    app: App, filters: Mapping[str, str], make_consumer: Callable[[], EventConsumer]
) -> list[CatchUpSubscription[EventConsumer]]:
    """One subscription for each name and filter."""
    return [
        CatchUpSubscription(
            app.log, app.views, name=name, filter_=filter_, make_consumer=make_consumer
        )
        for name, filter_ in filters.items()
    ]


async def _run_together(*work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


if __name__ == "__main__":
    run(alerts.SERVICE, wiring)
