"""The alerts service: `python -m tapewire_services.alerts`."""

import asyncio

from tapewire.log import CommandHandler
from tapewire.log.catch_up_subscription import CatchUpSubscription
from tapewire.log.group_commit import GroupCommitLog
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import alerts as asked
from tapewire.runtime.contracts import notifications as noticed
from tapewire.runtime.contracts.progress import NOTIFICATION_PROGRESS
from tapewire.runtime.progress import ProgressReporter
from tapewire.views import AlertsView, NotificationsView, RulesView
from tapewire_services.alerts import event_rule_consumer, notification_writer
from tapewire_services.alerts.armed_rule_index import ArmedRuleIndex
from tapewire_services.alerts.domain.rules import RULE_DECIDER
from tapewire_services.alerts.event_rule_consumer import EventRuleConsumer
from tapewire_services.alerts.notification_writer import NotificationConsumer, NotificationWriter
from tapewire_services.alerts.notifications_service import NotificationsService
from tapewire_services.alerts.price_monitor import PriceMonitor
from tapewire_services.alerts.rule_trigger import RuleTrigger
from tapewire_services.alerts.service import AlertsService


async def wire(app: App) -> None:
    # 1. The market: which symbols there are, and what is judged.
    market = QuoteCache(app.quotes)
    await market.start()
    app.on_stop(market.close)
    app.spawn(market.repair_gaps(), name="market")

    # 2. Rules and notifications, behind their deciders.
    log = GroupCommitLog(app.log)
    rules = CommandHandler(log, RULE_DECIDER)
    alarms = RuleTrigger(rules)
    notifications = NotificationWriter(log)

    # 3. The eyes of every process: armed rules, and prices.
    watch = PriceMonitor(market, app.views, alarms)
    watch.start()
    rulebook = ArmedRuleIndex(app.log, app.views, watch)
    app.spawn(rulebook.subscription.run(), name="armed rules")
    app.spawn(watch.restore_extremes(), name="recall")

    # 4. In one process of all: trigger rules, and write notifications.
    trigger_subscriptions = [
        CatchUpSubscription(
            app.log,
            app.views,
            name=name,
            filter_=filter_,
            make_consumer=lambda: EventRuleConsumer(rulebook, alarms),
        )
        for name, filter_ in event_rule_consumer.FILTERS_BY_CHECKPOINT_NAME.items()
    ]
    notification_subscriptions = [
        CatchUpSubscription(
            app.log,
            app.views,
            name=name,
            filter_=filter_,
            make_consumer=lambda: NotificationConsumer(notifications),
        )
        for name, filter_ in notification_writer.FILTERS_BY_CHECKPOINT_NAME.items()
    ]

    async def trigger() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch.run())
            for subscription in trigger_subscriptions:
                group.create_task(subscription.run())

    async def notify() -> None:
        async with asyncio.TaskGroup() as group:
            for subscription in notification_subscriptions:
                group.create_task(subscription.run())

    trigger_progress = ProgressReporter(
        [*trigger_subscriptions, rulebook.subscription],
        flush=watch.save_extremes,
        pending_count=lambda: watch.pending_count,
        quote_times=watch.last_quote_times,
    )
    notification_progress = ProgressReporter(notification_subscriptions)
    app.run_leased("alerts", trigger, trigger_progress.endpoints())
    app.run_leased("notifications", notify, notification_progress.endpoints(NOTIFICATION_PROGRESS))

    # 5. Checkpoints of the users' views.
    for kind in (RulesView, AlertsView, NotificationsView):
        await app.checkpoint_views(kind)

    # 6. Answers, last: from here on the service is asked.
    service = AlertsService(app.log, app.views, rules, market)
    inbox = NotificationsService(app.log, app.views, notifications)
    await app.serve_requests(
        {
            asked.CREATE: Endpoint(asked.CreateRule, service.create_rule),
            asked.ARM: Endpoint(asked.ArmRule, service.arm_rule),
            asked.DELETE: Endpoint(asked.DeleteRule, service.delete_rule),
            asked.RULES: Endpoint(asked.ListRules, service.list_rules),
            asked.LIST: Endpoint(asked.ListAlerts, service.list_alerts),
            noticed.LIST: Endpoint(noticed.ListNotifications, inbox.list),
            noticed.READ: Endpoint(noticed.ReadNotifications, inbox.read),
            noticed.SEND: Endpoint(noticed.SendNotification, inbox.send),
        }
    )


if __name__ == "__main__":
    run(asked.SERVICE, wire)
