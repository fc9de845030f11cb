"""The whole alerts service on the log in memory, in processes that can be killed.

An `AlertsProcess` is wired as in `tapewire_services.alerts.__main__`, without NATS; it holds the
leases when the test says so. An `AlertsEnvironment` appends events, publishes quotes and reads the
log.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from tapewire.events import (
    CODEC,
    AlertLevel,
    AlertRaised,
    AlertRule,
    Event,
    Notification,
    NotificationCreated,
    PriceUpdated,
    RuleEvent,
    RuleKind,
)
from tapewire.log import (
    CommandHandler,
    EventDraft,
    EventMetadata,
    EventSubject,
    RecordedEvent,
    Unavailable,
    encode_token,
)
from tapewire.log.catch_up_subscription import CatchUpSubscription, EventConsumer
from tapewire.log.group_commit import GroupCommitLog
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.runtime.contracts.alerts import ArmRule, CreateRule, DeleteRule
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
from tapewire_services.alerts.rule_trigger import RuleTrigger
from tapewire_services.alerts.service import AlertsService
from tests.harness.memory_process import (
    MemoryProcess,
    make_clock,
    make_context,
    retry_until_answered,
)
from tests.harness.recorded_log import read_events
from tests.harness.verification import find_differences
from tests.unit.alerts.spec import START_TIME, USER, make_quote

T = TypeVar("T")


clock = make_clock(START_TIME)


class AlertsProcess(MemoryProcess):
    """One process of the alerts service."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        super().__init__(server, faults)
        log = GroupCommitLog(self.log)
        self.command_handler = CommandHandler(log, RULE_DECIDER)
        self.rule_trigger = RuleTrigger(self.command_handler)
        self.notification_writer = NotificationWriter(log)
        self.price_monitor = PriceMonitor(
            self.quote_cache,
            self.views,
            self.rule_trigger,
            self.rng,
            arrival_time=lambda _: clock(),
        )
        self.armed_rules = ArmedRuleIndex(self.log, self.views, self.price_monitor, self.rng)
        self.service = AlertsService(
            self.log, self.views, self.command_handler, self.quote_cache, clock
        )
        self.notifications_service = NotificationsService(
            self.log, self.views, self.notification_writer, clock
        )

    async def start(self, *, holds_lease: bool = True) -> "AlertsProcess":
        await self.start_quotes()
        self.price_monitor.start()
        self.spawn(self.armed_rules.subscription.run())
        self.spawn(self.price_monitor.restore_extremes())
        if holds_lease:
            self.acquire_leases()
        return self

    def acquire_leases(self) -> None:
        """Start the work of both leases."""
        self.spawn(self.price_monitor.run())
        for name, filter_ in RULE_TRIGGER_FILTERS.items():
            self._subscribe(
                name, filter_, lambda: EventRuleConsumer(self.armed_rules, self.rule_trigger)
            )
        for name, filter_ in NOTIFICATION_FILTERS.items():
            self._subscribe(name, filter_, lambda: NotificationConsumer(self.notification_writer))

    def _subscribe(
        self, name: str, filter_: str, make_consumer: Callable[[], EventConsumer]
    ) -> None:
        subscription = CatchUpSubscription(
            self.log,
            self.views,
            name=name,
            filter_=filter_,
            make_consumer=make_consumer,
            rng=self.rng,
        )
        self.spawn(subscription.run())

    async def create_rule(self, request: CreateRule, command_id: str | None = None) -> AlertRule:
        of = make_context(command_id)
        return (await retry_until_answered(lambda: self.service.create_rule(request, of))).rule

    async def arm_rule(
        self, rule_id: str, command_id: str | None = None, user: str = USER
    ) -> AlertRule:
        of, request = make_context(command_id), ArmRule(user_id=user, rule_id=rule_id)
        return (await retry_until_answered(lambda: self.service.arm_rule(request, of))).rule

    async def delete_rule(self, rule_id: str, user: str = USER) -> AlertRule:
        of, request = make_context(), DeleteRule(user_id=user, rule_id=rule_id)
        return (await retry_until_answered(lambda: self.service.delete_rule(request, of))).rule


class AlertsEnvironment:
    """The rest of the system: other services, the market, and a reader of the log. Its own
    connection has no faults."""

    def __init__(self, server: MemoryServer) -> None:
        self._log = MemoryEventLog(server)
        self._quote_store = MemoryLatestValueStore(server)
        self._views = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
        self._event_number = 0

    async def append_event(self, event: Event, user: str = USER, domain: str = "orders") -> str:
        """Append an event of another service. Return its id."""
        self._event_number += 1
        id_ = f"event-{self._event_number}"
        meta = EventMetadata(id=id_, correlation=f"correlation-{self._event_number}")
        draft = EventDraft(subject=EventSubject(user, domain, id_), event=event, metadata=meta)
        await retry_until_answered(lambda: self._log.append([draft]))
        return id_

    async def publish_price(self, price: str, symbol: str = "IBM") -> None:
        """Publish a quote at the present time."""
        now = asyncio.get_running_loop().time()
        await self.publish_quote(make_quote(price, now, symbol))

    async def publish_quote(self, quote: PriceUpdated) -> None:
        await retry_until_answered(
            lambda: self._quote_store.put_unacknowledged(
                encode_token(quote.symbol), CODEC.encode(quote)
            )
        )

    async def read_log_summary(self) -> "AlertsLogSummary":
        """Read the whole log."""
        return AlertsLogSummary(await read_events(self._log))

    async def assert_verified(self) -> None:
        """Assert that verification finds nothing about rules, alerts and notifications. Events of
        other domains are appended by tests and have no history."""
        differences, _ = await find_differences(self._log, self._views)
        own = [one for one in differences if one.split()[1] in ("rules", "alerts", "notifications")]
        assert own == []

    async def wait_for_log(
        self, description: str, condition: Callable[["AlertsLogSummary"], object]
    ) -> "AlertsLogSummary":
        """Wait until `condition` holds for the log; fail with `description` when it never does."""
        seen = AlertsLogSummary([])
        for _ in range(10_000):
            with contextlib.suppress(Unavailable):
                seen = await self.read_log_summary()
                if condition(seen):
                    return seen
            await asyncio.sleep(0.01)
        raise AssertionError(f"never: {description}; last seen: {seen}")


class AlertsLogSummary:
    """The alerts, notifications and rules in the log."""

    def __init__(self, events: list[RecordedEvent]) -> None:
        self.events = events
        self.alerts = [one.event for one in events if isinstance(one.event, AlertRaised)]
        self.notifications: list[Notification] = [
            one.event.notification for one in events if isinstance(one.event, NotificationCreated)
        ]
        self.rules = {
            one.event.rule.rule_id: one.event.rule
            for one in events
            if isinstance(one.event, RuleEvent)
        }

    def describe_notifications(self) -> list[str]:
        return [f"{one.type}: {one.message}" for one in self.notifications]

    def __str__(self) -> str:
        alerts = [one.message for one in self.alerts]
        notifications = self.describe_notifications()
        return f"{len(self.events)} events, alerts {alerts}, notifications {notifications}"


def create_rule_request(
    kind: RuleKind = RuleKind.PRICE_ABOVE,
    *,
    symbol: str | None = "IBM",
    price: str | None = None,
    percent: str | None = None,
    window_seconds: int | None = None,
    level: AlertLevel | None = None,
    user: str = USER,
) -> CreateRule:
    """A request, decoded from JSON as in the gateway."""
    fields = {
        "userId": user,
        "kind": kind.value,
        "symbol": symbol,
        "price": price and float(price),
        "percent": percent and float(percent),
        "windowSeconds": window_seconds,
        "level": level and level.value,
    }
    return CODEC.decode(CODEC.encode(fields), CreateRule)
