"""Alerts and notifications by real processes: once, and through kill -9.

The test is the market and the users; orders are real ones, executed by the paper broker.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
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
from tapewire.runtime import RequestClient, RequestTimeout
from tapewire.runtime.contracts import alerts, notifications, orders
from tests.harness import waiting
from tests.harness.golden_events import golden_event
from tests.harness.nats_servers import LocalNatsServer, _set_parent_death_signal

USER = "alice"
READY_SECONDS = 90.0


class Service:
    """A process of a service."""

    def __init__(self, name: str, url: str, log: Path, instance: str) -> None:
        reading, writing = os.pipe()
        with log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: PLW1509, RUF100
                [sys.executable, "-m", f"tapewire_services.{name}"],
                env={
                    **os.environ,
                    "TAPEWIRE_NATS_URL": url,
                    "TAPEWIRE_READY_FD": str(writing),
                    "TAPEWIRE_INSTANCE": instance,
                },
                stdout=out,
                stderr=out,
                pass_fds=(writing,),
                preexec_fn=_set_parent_death_signal,
            )
        os.close(writing)
        self.instance = instance
        self._reading = reading
        self._log = log

    async def ready(self) -> "Service":
        async with asyncio.timeout(READY_SECONDS):
            said = await asyncio.to_thread(os.read, self._reading, 16)
        assert said == b"ready\n", self._log.read_text()[-3000:]
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


class House:
    """A message server of its own, the services on it, and the test's own connection."""

    def __init__(self, wire: NatsConnection, url: str, folder: Path) -> None:
        self.url = url
        self.log = JetStreamEventLog(wire)
        self.market = JetStreamLatestValueStore(
            wire, stream=MARKET, prefix="px", live_prefix="live.px"
        )
        self.leases = JetStreamLatestValueStore(wire, stream="KV_leases", prefix="$KV.leases")
        self.requests = RequestClient(wire)
        self._folder = folder
        self._services: list[Service] = []

    async def start(self, name: str) -> Service:
        instance = f"{name}-{len(self._services)}"
        service = Service(name, self.url, self._folder / f"{instance}.log", instance)
        self._services.append(service)
        return await service.ready()

    def close(self) -> None:
        for service in reversed(self._services):
            service.close()

    async def quotes(self, price: str) -> None:
        value = Decimal(price)
        shown = PriceUpdated(
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
        await self.market.put_unacknowledged(encode_token("IBM"), CODEC.encode(shown))

    async def ask(self, service: str, verb: str, request: Any, reply: type[Any]) -> Any:
        """Until it is answered, under one command id, as the edge does."""
        command_id = new_id()
        async with asyncio.timeout(READY_SECONDS):
            while True:
                with contextlib.suppress(RequestTimeout):
                    return await self.requests.request(
                        service, verb, request, reply, correlation="test", command_id=command_id
                    )
                await asyncio.sleep(0.05)

    async def rule(self, price: str) -> str:
        wanted = alerts.CreateRule(
            user_id=USER, kind=RuleKind.PRICE_ABOVE, symbol="IBM", price=Decimal(price)
        )
        reply = await self.ask(alerts.SERVICE, alerts.CREATE, wanted, alerts.RuleReply)
        return str(reply.rule.rule_id)

    async def place(self, qty: int) -> str:
        wanted = orders.PlaceOrder(
            user_id=USER, symbol="IBM", side=Side.BUY, type=OrderType.MARKET, qty=Decimal(qty)
        )
        reply = await self.ask(orders.SERVICE, orders.PLACE, wanted, orders.OrderReply)
        return str(reply.order.order_id)

    async def events(self) -> list[RecordedEvent]:
        found: list[RecordedEvent] = []
        more = True
        while more:
            page = await self.log.page("ev.>", after=found[-1].sequence if found else 0)
            found += page.events
            more = page.has_more
        return found

    async def sees(
        self,
        what: str,
        holds: Callable[[list[RecordedEvent]], bool],
        seconds: float = READY_SECONDS,
    ) -> list[RecordedEvent]:
        """The log, when it holds what is waited for."""
        found: list[RecordedEvent] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(LogError):
                        found = await self.events()
                        if holds(found):
                            return found
                    await asyncio.sleep(waiting.POLL_INTERVAL_SECONDS)
        pytest.fail(f"not within {seconds:g} s: {what}; the log ends: {found[-8:]}")

    async def holder(self, lease: str) -> str:
        """The instance that holds the lease; empty when none does."""
        return (await self.leases.get(lease) or b"").decode()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalNatsServer]:
    made = LocalNatsServer(tmp_path)
    made.start()
    yield made
    made.close()


@pytest.fixture
async def house(broker: LocalNatsServer, tmp_path: Path) -> AsyncIterator[House]:
    wire = await connect(broker.url, "test")
    await provision(wire)
    made = House(wire, broker.url, tmp_path)
    yield made
    await asyncio.to_thread(made.close)
    await wire.close()


def notified(events: list[RecordedEvent]) -> list[NotificationCreated]:
    return [one.event for one in events if isinstance(one.event, NotificationCreated)]


def raised(events: list[RecordedEvent]) -> list[AlertRaised]:
    return [one.event for one in events if isinstance(one.event, AlertRaised)]


def delays(events: list[RecordedEvent]) -> dict[str, float]:
    """By cause: seconds from an event being stored to its notification being stored."""
    by_id = {one.metadata.id: one for one in events}
    found = {}
    for one in events:
        if one.tag == "notification.created.v1":
            cause = by_id[(one.metadata.causation or "").removesuffix(":notify")]
            found[cause.tag] = (one.time - cause.time).total_seconds()
    return found


async def test_what_happens_to_orders_is_told(house: House) -> None:
    await house.start("orders")
    await house.start("alerts")
    await house.quotes("2000")
    filled = await house.place(10)
    rejected = await house.place(1_000_000)
    events = await house.sees("two notifications", lambda events: len(notified(events)) == 2)
    told = {one.notification.payload["orderId"]: one.notification for one in notified(events)}
    assert (told[filled].type, told[filled].message) == ("order_filled", "Bought 10 IBM at 2000")
    assert told[rejected].type == "order_rejected"
    print(f"\ntold after {delays(events)} seconds")  # noqa: T201 - a figure for `-s`

    asked = notifications.ListNotifications(user_id=USER, limit=1)
    listed = await house.ask(
        notifications.SERVICE, notifications.LIST, asked, notifications.NotificationsReply
    )
    assert (len(listed.notifications), listed.unread) == (1, 2)


async def test_what_services_fail_at_and_stop_losses_are_told(house: House) -> None:
    await house.start("alerts")
    wanted = {
        ("orders", "order.failed"): "order_failed",
        ("orders", "order.rejected"): "order_rejected",
        ("strategies", "strategy.failed"): "strategy_error",
        ("strategies", "strategy.stop_loss_triggered"): "stop_loss",
        ("alerts", "alert.raised"): "alert",
    }
    causes: dict[str, str] = {}
    for (domain, tag), type_ in wanted.items():
        meta = EventMetadata(id=new_id(), correlation="c-test")
        subject = EventSubject(USER, domain, tag.replace(".", "-"))
        await house.log.append(
            [EventDraft(subject=subject, event=golden_event(tag), metadata=meta)]
        )
        causes[f"{meta.id}:notify"] = type_
    events = await house.sees("all are told", lambda e: len(notified(e)) >= len(wanted))
    told = [one for one in events if isinstance(one.event, NotificationCreated)]
    assert {
        one.metadata.causation: one.event.notification.type
        for one in told
        if isinstance(one.event, NotificationCreated)
    } == causes
    assert {one.subject.split(".")[1] for one in told} == {USER}


async def test_the_command_line_notifies_several_users(house: House) -> None:
    command = [sys.executable, "-m", "tapewire.cli", "notify", "--nats", house.url]
    command += ["--user", "bob", "--user", "carol", "--title", "Deploy at six"]

    def run(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *more], capture_output=True, text=True, timeout=90, check=False
        )

    unheard = await asyncio.to_thread(run)
    assert (unheard.returncode, unheard.stdout) == (3, "")
    assert "alerts does not answer" in unheard.stderr

    await house.start("alerts")
    sent = await asyncio.to_thread(run, "--message", "Save all.", "--payload", '{"at":6.50}')
    assert sent.returncode == 0, sent.stderr
    events = await house.events()
    lines = [f"{one.notification.id} {who}" for one, who in zip(notified(events), ("bob", "carol"),
                                                               strict=True)]  # fmt: skip
    assert sorted(sent.stdout.splitlines()) == sorted(lines)
    stored = [one.data for one in events if one.tag == "notification.created.v1"]
    assert all(b'"payload":{"at":6.50}' in data for data in stored)

    for bad in (["--payload", "[1]"], ["--type", "No Word"], ["--title", ""]):
        refused = await asyncio.to_thread(run, *bad)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("tapewire: ")
        assert refused.stderr.count("\n") == 1
    assert len(notified(await house.events())) == 2


LEVELS = 40


async def test_alerts_are_raised_once_through_kills_of_either_replica(house: House) -> None:
    """The price rises past one level after the other while the holders of the leases are killed;
    then it moves up and down over all of them, and nothing is raised again until armed again."""
    await house.quotes("100")
    replicas = [await house.start("alerts"), await house.start("alerts")]
    for level in range(LEVELS):
        await house.rule(str(100 + level))
    for step in range(LEVELS):
        await house.quotes(f"{100 + step}.5")
        if not step:
            await house.sees("the first alert", lambda events: bool(raised(events)))
        await asyncio.sleep(0.1)  # the pace of the market
        if step % 13 == 12:
            name = await house.holder("alerts" if step % 2 else "notifications")
            held = [one for one in replicas if one.instance == name] or replicas[:1]
            held[0].kill()
            replicas.remove(held[0])
            replicas.append(await house.start("alerts"))
    events = await house.sees(
        "all alerts, and told of",
        lambda events: len(raised(events)) == len(notified(events)) == LEVELS,
    )
    assert set(Counter(one.rule_id for one in raised(events)).values()) == {1}
    told = Counter(one.notification.payload["alertId"] for one in notified(events))
    assert told == Counter(one.alert_id for one in raised(events))
    assert raised(events)[0].message == "IBM is at 100.5, above 100"

    for price in ("90", "200", "90", "201"):
        await house.quotes(price)
    first = raised(events)[0].rule_id
    armed = alerts.ArmRule(user_id=USER, rule_id=first or "")
    await house.ask(alerts.SERVICE, alerts.ARM, armed, alerts.RuleReply)
    events = await house.sees(
        "the one that was armed again, and told of",
        lambda events: len(notified(events)) > LEVELS,
    )
    assert len(raised(events)) == len(notified(events)) == LEVELS + 1
    assert raised(events)[-1].rule_id == first
