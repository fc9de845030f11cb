"""Alerts and notifications of real processes: each exactly once, also when processes are killed."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tapewire.events import (
    CODEC,
    AlertRaised,
    NotificationCreated,
    OrderType,
    PriceUpdated,
    RuleKind,
    Side,
)
from tapewire.log import (
    EventDraft,
    EventMetadata,
    EventSubject,
    LogError,
    RecordedEvent,
    encode_token,
    new_id,
)
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
    provision,
)
from tapewire.log.jetstream.streams import MARKET
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import alerts, notifications, orders
from tests.harness import fork_server, waiting
from tests.harness.golden_events import golden_event
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.recorded_log import read_events
from tests.harness.repeated_requests import request_until_answered

USER = "alice"
READY_SECONDS = 90.0


class ServiceProcess:
    """A process of one service."""

    def __init__(self, name: str, url: str, log: Path, instance: str) -> None:
        reading, writing = os.pipe()
        with log.open("ab") as out:
            environment = {**os.environ, "TAPEWIRE_NATS_URL": url, "TAPEWIRE_INSTANCE": instance}
            self.process = fork_server.start_service(
                name, environment, out.fileno(), {"TAPEWIRE_READY_FD": writing}
            )
        os.close(writing)
        self.instance = instance
        self._reading = reading
        self._log = log

    async def wait_until_ready(self) -> "ServiceProcess":
        async with asyncio.timeout(READY_SECONDS):
            message = await asyncio.to_thread(os.read, self._reading, 16)
        assert message == b"ready\n", self._log.read_text()[-3000:]
        return self

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()
        os.close(self._reading)


class AlertsStack:
    """A NATS server with services and the connection of the test."""

    def __init__(self, connection: NatsConnection, url: str, folder: Path) -> None:
        self.url = url
        self.log = JetStreamEventLog(connection)
        self.market = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="px", live_prefix="live.px"
        )
        self.leases = JetStreamLatestValueStore(connection, stream="KV_leases", prefix="$KV.leases")
        self.requests = RequestClient(connection)
        self._folder = folder
        self._services: list[ServiceProcess] = []

    async def start(self, name: str) -> ServiceProcess:
        instance = f"{name}-{len(self._services)}"
        service = ServiceProcess(name, self.url, self._folder / f"{instance}.log", instance)
        self._services.append(service)
        return await service.wait_until_ready()

    def close(self) -> None:
        for service in reversed(self._services):
            service.close()

    async def publish_quote(self, price: str) -> None:
        value = Decimal(price)
        event = PriceUpdated(
            symbol="IBM",
            price=value,
            bid=value,
            ask=value,
            bid_size=Decimal(1000),
            ask_size=Decimal(1000),
            volume=Decimal(0),
            change=Decimal(0),
            change_percent=Decimal(0),
            timestamp=datetime.now(UTC),
        )
        await self.market.put_unacknowledged(encode_token("IBM"), CODEC.encode(event))

    async def request(self, service: str, verb: str, request: Any, reply: type[Any]) -> Any:
        """Repeat the request under one command id until it is answered, as the edge does."""
        return await request_until_answered(self.requests, service, verb, request, reply)

    async def create_rule(self, price: str) -> str:
        request = alerts.CreateRule(
            user_id=USER, kind=RuleKind.PRICE_ABOVE, symbol="IBM", price=Decimal(price)
        )
        reply = await self.request(alerts.SERVICE, alerts.CREATE, request, alerts.RuleReply)
        return str(reply.rule.rule_id)

    async def place_order(self, qty: int) -> str:
        request = orders.PlaceOrder(
            user_id=USER, symbol="IBM", side=Side.BUY, type=OrderType.MARKET, qty=Decimal(qty)
        )
        reply = await self.request(orders.SERVICE, orders.PLACE, request, orders.OrderReply)
        return str(reply.order.order_id)

    async def read_events(self) -> list[RecordedEvent]:
        return await read_events(self.log)

    async def wait_for_events(
        self,
        what: str,
        holds: Callable[[list[RecordedEvent]], bool],
        seconds: float = READY_SECONDS,
    ) -> list[RecordedEvent]:
        """Wait until `holds` is true of the events in the log."""
        found: list[RecordedEvent] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(LogError):
                        found = await self.read_events()
                        if holds(found):
                            return found
                    await asyncio.sleep(waiting.POLL_INTERVAL_SECONDS)
        pytest.fail(f"not within {seconds:g} s: {what}; the log ends: {found[-8:]}")

    async def lease_holder(self, lease: str) -> str:
        """The instance that holds the lease; empty when none does."""
        return (await self.leases.get(lease) or b"").decode()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalNatsServer]:
    server = LocalNatsServer(tmp_path, provisioned=True)
    server.start()
    yield server
    server.close()


@pytest.fixture
async def stack(broker: LocalNatsServer, tmp_path: Path) -> AsyncIterator[AlertsStack]:
    connection = await connect(broker.url, "test")
    await provision(connection)
    server = AlertsStack(connection, broker.url, tmp_path)
    yield server
    await asyncio.to_thread(server.close)
    await connection.close()


def notifications_in(events: list[RecordedEvent]) -> list[NotificationCreated]:
    return [one.event for one in events if isinstance(one.event, NotificationCreated)]


def alerts_in(events: list[RecordedEvent]) -> list[AlertRaised]:
    return [one.event for one in events if isinstance(one.event, AlertRaised)]


def notification_delays(events: list[RecordedEvent]) -> dict[str, float]:
    """Seconds between the storage of an event and of its notification, by the tag of the event."""
    by_id = {one.metadata.id: one for one in events}
    found = {}
    for one in events:
        if one.tag == "notification.created.v1":
            cause = by_id[(one.metadata.causation or "").removesuffix(":notify")]
            found[cause.tag] = (one.time - cause.time).total_seconds()
    return found


async def test_fills_and_rejections_become_notifications(stack: AlertsStack) -> None:
    await stack.start("orders")
    await stack.start("alerts")
    await stack.publish_quote("2000")
    filled = await stack.place_order(10)
    rejected = await stack.place_order(1_000_000)
    events = await stack.wait_for_events(
        "two notifications", lambda events: len(notifications_in(events)) == 2
    )
    by_order = {
        one.notification.payload["orderId"]: one.notification for one in notifications_in(events)
    }
    assert (by_order[filled].type, by_order[filled].message) == (
        "order_filled",
        "Bought 10 IBM at 2000",
    )
    assert by_order[rejected].type == "order_rejected"
    print(f"\nnotified after {notification_delays(events)} seconds")  # noqa: T201 - a figure for `-s`

    request = notifications.ListNotifications(user_id=USER, limit=1)
    listed = await stack.request(
        notifications.SERVICE, notifications.LIST, request, notifications.NotificationsReply
    )
    assert (len(listed.notifications), listed.unread) == (1, 2)


async def test_failures_stop_losses_and_alerts_become_notifications(stack: AlertsStack) -> None:
    await stack.start("alerts")
    types = {
        ("orders", "order.failed"): "order_failed",
        ("orders", "order.rejected"): "order_rejected",
        ("strategies", "strategy.failed"): "strategy_error",
        ("strategies", "strategy.stop_loss_triggered"): "stop_loss",
        ("alerts", "alert.raised"): "alert",
    }
    causes: dict[str, str] = {}
    for (domain, tag), type_ in types.items():
        meta = EventMetadata(id=new_id(), correlation="c-test")
        subject = EventSubject(USER, domain, tag.replace(".", "-"))
        await stack.log.append(
            [EventDraft(subject=subject, event=golden_event(tag), metadata=meta)]
        )
        causes[f"{meta.id}:notify"] = type_
    events = await stack.wait_for_events(
        "every event is notified", lambda e: len(notifications_in(e)) >= len(types)
    )
    created = [one for one in events if isinstance(one.event, NotificationCreated)]
    assert {
        one.metadata.causation: one.event.notification.type
        for one in created
        if isinstance(one.event, NotificationCreated)
    } == causes
    assert {one.subject.split(".")[1] for one in created} == {USER}


async def test_the_command_line_notifies_several_users(stack: AlertsStack) -> None:
    command = ["notify", "--nats", stack.url]
    command += ["--user", "bob", "--user", "carol", "--title", "Deploy at six"]

    def run(*more: str) -> "subprocess.CompletedProcess[str]":
        return fork_server.run_cli(*command, *more, timeout=90)

    unanswered = await asyncio.to_thread(run)
    assert (unanswered.returncode, unanswered.stdout) == (3, "")
    assert "alerts does not answer" in unanswered.stderr

    await stack.start("alerts")
    sent = await asyncio.to_thread(run, "--message", "Save all.", "--payload", '{"at":6.50}')
    assert sent.returncode == 0, sent.stderr
    events = await stack.read_events()
    written = zip(notifications_in(events), ("bob", "carol"), strict=True)
    lines = [f"{one.notification.id} {user}" for one, user in written]
    assert sorted(sent.stdout.splitlines()) == sorted(lines)
    stored = [one.data for one in events if one.tag == "notification.created.v1"]
    assert all(b'"payload":{"at":6.50}' in data for data in stored)

    for bad in (["--payload", "[1]"], ["--type", "No Word"], ["--title", ""]):
        refused = await asyncio.to_thread(run, *bad)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("tapewire: ")
        assert refused.stderr.count("\n") == 1
    assert len(notifications_in(await stack.read_events())) == 2


LEVELS = 40


async def test_alerts_are_raised_once_while_lease_holders_are_killed(stack: AlertsStack) -> None:
    """The price rises past one level after the other while lease holders are killed. Then it moves
    across all levels, and no alert is raised again until its rule is armed again."""
    await stack.publish_quote("100")
    replicas = [await stack.start("alerts"), await stack.start("alerts")]
    for level in range(LEVELS):
        await stack.create_rule(str(100 + level))
    for step in range(LEVELS):
        await stack.publish_quote(f"{100 + step}.5")
        if not step:
            await stack.wait_for_events("the first alert", lambda events: bool(alerts_in(events)))
        await asyncio.sleep(0.1)  # the pace of the market
        if step % 13 == 12:
            name = await stack.lease_holder("alerts" if step % 2 else "notifications")
            held = [one for one in replicas if one.instance == name] or replicas[:1]
            held[0].kill()
            replicas.remove(held[0])
            replicas.append(await stack.start("alerts"))
    events = await stack.wait_for_events(
        "all alerts and their notifications",
        lambda events: len(alerts_in(events)) == len(notifications_in(events)) == LEVELS,
    )
    assert set(Counter(one.rule_id for one in alerts_in(events)).values()) == {1}
    notified = Counter(one.notification.payload["alertId"] for one in notifications_in(events))
    assert notified == Counter(one.alert_id for one in alerts_in(events))
    assert alerts_in(events)[0].message == "IBM is at 100.5, above 100"

    for price in ("90", "200", "90", "201"):
        await stack.publish_quote(price)
    first = alerts_in(events)[0].rule_id
    armed = alerts.ArmRule(user_id=USER, rule_id=first or "")
    await stack.request(alerts.SERVICE, alerts.ARM, armed, alerts.RuleReply)
    events = await stack.wait_for_events(
        "the alert of the rule that was armed again",
        lambda events: len(notifications_in(events)) > LEVELS,
    )
    assert len(alerts_in(events)) == len(notifications_in(events)) == LEVELS + 1
    assert alerts_in(events)[-1].rule_id == first
