"""The alerts service: `python -m services.alerts`."""

import asyncio

from services.alerts import happenings, notifying
from services.alerts.alarms import Alarms
from services.alerts.domain.rules import RULES
from services.alerts.happenings import Happenings
from services.alerts.inbox import Inbox
from services.alerts.notifying import Notifications, Notifier
from services.alerts.progress import AlertsProgress
from services.alerts.rulebook import Rulebook
from services.alerts.service import AlertsService
from services.alerts.watching import Watch
from tapewire.log import Entities
from tapewire.log.follower import follow
from tapewire.log.grouping import GroupedLog
from tapewire.log.market import Market
from tapewire.runtime import App, Endpoint, run
from tapewire.runtime.contracts import alerts as asked
from tapewire.runtime.contracts import notifications as noticed
from tapewire.runtime.contracts.progress import NOTIFYING, PROGRESS, AskProgress
from tapewire.views import AlertsView, NotificationsView, RulesView


async def wiring(app: App) -> None:
    # 1. The market: which symbols there are, and what is judged.
    market = Market(app.market)
    await market.start()
    app.on_stop(market.close)
    app.spawn(market.follow(), name="market")

    # 2. Rules and notifications, behind their deciders.
    log = GroupedLog(app.log)
    rules = Entities(log, RULES)
    alarms = Alarms(rules)
    notifications = Notifications(log)

    # 3. The eyes of every process: armed rules, and prices.
    watch = Watch(market, app.views, alarms)
    watch.start()
    rulebook = Rulebook(app.log, watch)
    app.spawn(rulebook.run(app.views), name="rulebook")
    app.spawn(watch.recall(), name="recall")

    # 4. The hands of one process: who triggers, and who notifies; each says how far it is.
    progress = AlertsProgress(watch, rulebook)

    async def trigger() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch.work())
            for name, filter_ in happenings.FILTERS.items():
                make, places = lambda: Happenings(rulebook, alarms), progress.happenings
                group.create_task(follow(app.log, app.views, filter_, name, make, places=places))

    async def notify() -> None:
        async with asyncio.TaskGroup() as group:
            for name, filter_ in notifying.FILTERS.items():
                make, places = lambda: Notifier(notifications), progress.notices
                group.create_task(follow(app.log, app.views, filter_, name, make, places=places))

    app.leased("alerts", trigger, {PROGRESS: Endpoint(AskProgress, progress.progress)})
    app.leased("notifications", notify, {NOTIFYING: Endpoint(AskProgress, progress.notifying)})

    # 5. Checkpoints of the users' views.
    for kind in (RulesView, AlertsView, NotificationsView):
        await app.project(kind)

    # 6. Answers, last: from here on the service is asked.
    service = AlertsService(app.log, app.views, rules, market)
    inbox = Inbox(app.log, app.views, notifications)
    await app.answer(
        {
            asked.CREATE: Endpoint(asked.CreateRule, service.create),
            asked.ARM: Endpoint(asked.ArmRule, service.arm),
            asked.DELETE: Endpoint(asked.DeleteRule, service.delete),
            asked.RULES: Endpoint(asked.ListRules, service.rules),
            asked.LIST: Endpoint(asked.ListAlerts, service.list),
            noticed.LIST: Endpoint(noticed.ListNotifications, inbox.list),
            noticed.READ: Endpoint(noticed.ReadNotifications, inbox.read),
            noticed.SEND: Endpoint(noticed.SendNotification, inbox.send),
        }
    )


if __name__ == "__main__":
    run(asked.SERVICE, wiring)
