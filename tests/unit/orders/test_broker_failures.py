"""A broker of another package that fails is made again, and nobody else notices.

Each fault is one that code of others may have: an exception at any of its methods, a `run` that
returns, a clean-up that raises. In virtual time, on the log in memory.
"""

import asyncio
import contextlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import structlog

from tapewire.brokers import (
    MAX_REASON_LENGTH,
    BadSetting,
    Broker,
    BrokerReports,
    BrokerStore,
    OpenOrder,
)
from tapewire.events import OrderTerms, ReportedExecution
from tapewire.log import Unavailable
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire_services.orders.broker_health import BrokerHealth
from tapewire_services.orders.broker_runner import BrokerRunner
from tapewire_services.orders.broker_task import STOP_SECONDS
from tests.harness.order_builders import START
from tests.harness.orders_process import (
    OrdersProcess,
    QuoteSimulator,
    order_statuses,
    place_request,
    wait_for_log,
)

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    server = MemoryServer()
    await QuoteSimulator(server).publish_quote()
    return server


class FillingBroker(Broker):
    """Accepts and executes each order. `fault(place)` may raise at any place."""

    def __init__(self, fault: Callable[[str], object]) -> None:
        self.fault = fault
        self.orders: asyncio.Queue[OpenOrder] = asyncio.Queue()
        self.added: list[str] = []

    def add_order(self, order: OpenOrder) -> None:
        self.fault("add_order")
        self.added.append(order.order.order_id)
        self.orders.put_nowait(order)

    def update_order(self, _: OpenOrder) -> None:
        self.fault("update_order")

    async def run(self, reports: BrokerReports) -> None:
        try:
            await self.fill_orders(reports)
        finally:
            self.fault("cleanup")

    async def fill_orders(self, reports: BrokerReports) -> None:
        self.fault("run")
        while True:
            order = await self.orders.get()
            self.fault("order")
            await reports.accepted(order, "V1")
            await reports.executed(
                ReportedExecution(
                    execution_id=f"E-{order.order.order_id}",
                    order_id=order.order.order_id,
                    qty=order.remaining_qty,
                    price=Decimal(100),
                    timestamp=START,
                )
            )
            if self.fault("return") == "return":
                return


class Fault:
    """Raises the first `times` times that a broker comes to `place`."""

    def __init__(self, place: str, times: int = 3, error: type[BaseException] = KeyError) -> None:
        self.place, self.times, self.error = place, times, error

    def __call__(self, place: str) -> object:
        if place != self.place or not self.times:
            return None
        self.times -= 1
        if place == "return":
            return "return"
        raise self.error("the adapter's own fault")


async def start(server: MemoryServer, fault: Callable[[str], object]) -> tuple[OrdersProcess, Any]:
    process = OrdersProcess(server, confirms_at_once=False)
    made: list[FillingBroker] = []

    def make_broker(_: object) -> Broker:
        made.append(FillingBroker(fault))
        return made[-1]

    process.make_broker = make_broker
    return await process.start(), made


@pytest.mark.parametrize("place", ["add_order", "update_order", "run", "order", "return"])
async def test_a_broker_that_fails_is_made_again_and_the_orders_are_filled(
    server: MemoryServer, place: str
) -> None:
    process, made = await start(server, Fault(place))
    for name in ("first", "second", "third", "fourth"):
        await process.place_order(place_request("10", limit="100", client_order_id=name))
    seen = await wait_for_log(
        server, "all are filled", lambda seen: order_statuses(seen) == ["filled 10"] * 4
    )
    assert len(seen.orders) == 4
    assert len(made) == 4, "three brokers failed, and one works"
    process.raise_task_errors()
    await process.kill()


async def test_a_failed_broker_is_reported_until_the_next_one_has_run_for_a_while(
    server: MemoryServer,
) -> None:
    process, _ = await start(server, Fault("run", times=1))
    await asyncio.sleep(1)
    failure = process.runner.health.find_failure()
    assert failure == 'the broker failed: KeyError: "the adapter\'s own fault"'
    await asyncio.sleep(20)
    assert process.runner.health.find_failure() is None
    await process.kill()


async def test_a_broker_that_always_fails_leaves_all_requests_answered(
    server: MemoryServer,
) -> None:
    process, made = await start(server, Fault("run", times=1_000_000))
    placed = await process.place_order(place_request("10", limit="100"))
    assert placed.order.status.value == "new"
    assert (await process.cancel_order(placed.order.order_id)).status.value == "pending_cancel"
    await asyncio.sleep(60)
    assert 20 < len(made) < 60, "the delay between two of them grows to some 3 s"
    with pytest.raises(Unavailable):
        process.runner.pending_count()
    process.raise_task_errors()
    await process.kill()


async def test_a_broker_whose_cleanup_raises_ends_all_the_same(server: MemoryServer) -> None:
    process, made = await start(server, Fault("cleanup"))
    await asyncio.sleep(1)
    await process.kill()
    await asyncio.sleep(60)
    assert len(made) == 1, "no other one was made after the lease was lost"


async def test_a_setting_that_a_new_broker_refuses_ends_the_service(server: MemoryServer) -> None:
    process = OrdersProcess(server, confirms_at_once=False)

    def refuse(_: object) -> Broker:
        raise BadSetting("ACME_KEY is not set")

    process.make_broker = refuse
    with pytest.raises(BadSetting, match="ACME_KEY"):
        await process.runner.run()


async def test_a_broker_that_says_that_it_cannot_work_is_no_failure(server: MemoryServer) -> None:
    process, _ = await start(server, Fault("nowhere"))
    process.runner.health.set_problem("the session is down")
    assert process.runner.health.find_problem() == "the broker: the session is down"
    assert process.runner.health.find_failure() is None
    process.runner.health.set_problem(None)
    assert process.runner.health.find_problem() is None
    await process.kill()


class ReportingTrial:
    """An order that was placed, and the reports that a broker can make on it."""

    def __init__(self, order: OpenOrder, reports: BrokerReports) -> None:
        self.order, self.reports = order, reports


class SilentBroker(Broker):
    """Notes its orders, and reports nothing by itself."""

    def __init__(self) -> None:
        self.added: list[OpenOrder] = []
        self.is_process_ended = False

    def add_order(self, order: OpenOrder) -> None:
        self.added.append(order)

    def update_order(self, order: OpenOrder) -> None:
        pass

    async def run(self, _: BrokerReports) -> None:
        await asyncio.Event().wait()


@pytest.fixture
async def trial(server: MemoryServer) -> ReportingTrial:
    process, broker = OrdersProcess(server, confirms_at_once=False), SilentBroker()
    process.make_broker = lambda _: broker
    await process.start()
    await process.place_order(place_request("10", limit="100"))
    await asyncio.sleep(1)
    return ReportingTrial(broker.added[0], process.reporter)


async def test_a_rejection_after_the_acceptance_lets_the_order_fail(
    trial: ReportingTrial,
) -> None:
    accepted = await trial.reports.accepted(trial.order, "V1")
    after = await trial.reports.rejected(accepted, "the venue has thought again")
    assert (after.order.status.value, after.order.reason) == (
        "failed",
        "the venue has thought again",
    )


async def test_reports_that_do_not_fit_change_nothing(trial: ReportingTrial) -> None:
    accepted = await trial.reports.accepted(trial.order, "V1")
    for after in (
        await trial.reports.accepted(accepted, "V2"),
        await trial.reports.cancel_rejected(accepted, "nobody asked"),
        await trial.reports.replace_rejected(accepted, "nobody asked"),
        await trial.reports.replaced(accepted),
        await trial.reports.triggered(accepted),
    ):
        assert after.order == accepted.order
    canceled = await trial.reports.canceled(accepted, "the market closes")
    for after in (
        await trial.reports.canceled(accepted, "again"),
        await trial.reports.rejected(accepted, "too late"),
        await trial.reports.failed(accepted, "too late"),
    ):
        assert (after.order, after.sequence) == (canceled.order, canceled.sequence)


async def test_terms_that_nobody_asked_for_are_taken_over(trial: ReportingTrial) -> None:
    accepted = await trial.reports.accepted(trial.order)
    terms = OrderTerms(qty=Decimal(8), limit_price=Decimal(99), stop_price=None)
    after = await trial.reports.replaced(accepted, terms)
    assert (after.order.qty, after.order.limit_price) == (Decimal(8), Decimal(99))
    assert (await trial.reports.replaced(accepted, terms)).sequence == after.sequence


@pytest.mark.parametrize(
    ("reason", "stored"),
    [
        ("x" * MAX_REASON_LENGTH, "x" * MAX_REASON_LENGTH),
        ("x" * 1_000_000, "x" * (MAX_REASON_LENGTH - 1) + "…"),
        ("half a \ud83d pair", "half a ? pair"),
        ("", ""),
    ],
)
async def test_a_reason_of_any_kind_can_be_stored(
    trial: ReportingTrial, reason: str, stored: str
) -> None:
    assert (await trial.reports.rejected(trial.order, reason)).order.reason == stored


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        (OrderTerms(qty=Decimal("NaN"), limit_price=Decimal(1), stop_price=None), "qty"),
        (OrderTerms(qty=Decimal(0), limit_price=Decimal(1), stop_price=None), "qty"),
        (OrderTerms(qty=Decimal(5), limit_price=Decimal("Infinity"), stop_price=None), "limit"),
        (OrderTerms(qty=Decimal(5), limit_price=Decimal(-1), stop_price=None), "limit"),
        (OrderTerms(qty=Decimal(5), limit_price=None, stop_price=None), "limit"),
        (OrderTerms(qty=Decimal(5), limit_price=Decimal(1), stop_price=Decimal(1)), "stop"),
    ],
)
async def test_terms_that_no_order_can_have_are_an_error_of_the_broker(
    trial: ReportingTrial, terms: OrderTerms, name: str
) -> None:
    order = await trial.reports.accepted(trial.order)
    with pytest.raises(ValueError, match=name):
        await trial.reports.replaced(order, terms)
    valid = OrderTerms(qty=Decimal(5), limit_price=order.order.limit_price, stop_price=None)
    assert (await trial.reports.replaced(order, valid)).order.qty == 5


@pytest.mark.parametrize("venue_order_id", ["", "x" * 129, "a\nb", "café"])
async def test_a_venue_order_id_that_cannot_be_stored_is_an_error_of_the_broker(
    trial: ReportingTrial, venue_order_id: str
) -> None:
    with pytest.raises(ValueError, match="venue_order_id"):
        await trial.reports.accepted(trial.order, venue_order_id)


async def test_what_a_broker_saves_is_there_for_the_next_one(server: MemoryServer) -> None:
    def store(broker: str, holds_lease: Callable[[], bool] = lambda: True) -> BrokerStore:
        values = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
        return BrokerStore(values, broker, structlog.get_logger(), holds_lease)

    assert await store("acme").load("session") is None
    for data in (b"", b"\x00\xff", b"7", b"x" * 100_000):
        await store("acme").save("session", data)
        assert await store("acme").load("session") == data
    assert await store("acme").load("other") is None
    assert await store("other").load("session") is None
    server.begin_outage(30)
    await store("acme").save("session", b"8")
    assert await store("acme").load("session") == b"8"
    may_save = asyncio.Event()
    saving = asyncio.create_task(store("acme", may_save.is_set).save("session", b"9"))
    await asyncio.sleep(60)
    assert await store("acme").load("session") == b"8", "another process may hold the lease"
    may_save.set()
    await saving
    assert await store("acme").load("session") == b"9"


class GroupBroker(FillingBroker):
    """Does its work in a task group, which waits for its tasks when one of them fails."""

    async def run(self, reports: BrokerReports) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.Event().wait())
            tasks.create_task(self.fill_orders(reports))


class NestedGroupBroker(FillingBroker):
    """Awaits in one task group, and works in another one."""

    async def run(self, reports: BrokerReports) -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(asyncio.Event().wait())
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.fill_orders(reports))
                await asyncio.Event().wait()


@pytest.mark.parametrize("broker_class", [GroupBroker, NestedGroupBroker])
async def test_a_broker_whose_task_group_fails_is_made_again(
    server: MemoryServer, broker_class: type[FillingBroker]
) -> None:
    process = OrdersProcess(server, confirms_at_once=False)
    fault = Fault("order", times=3)
    process.make_broker = lambda _: broker_class(fault)
    await process.start()
    await process.place_order(place_request(client_order_id="o"))
    await wait_for_log(server, "filled", lambda seen: order_statuses(seen) == ["filled 10"])
    await process.kill()


class EndlessBroker(SilentBroker):
    """Goes on after it was cancelled, as one whose task group has swallowed the cancellation."""

    def update_order(self, _: OpenOrder) -> None:
        raise KeyError("the adapter's own fault")

    async def run(self, _: BrokerReports) -> None:
        while not self.is_process_ended:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)


class SlowlyEndingBroker(SilentBroker):
    """Ends within the time that it has."""

    async def run(self, _: BrokerReports) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(STOP_SECONDS - 1)


async def start_stoppable(
    server: MemoryServer, broker: SilentBroker
) -> tuple[OrdersProcess, list[float], "asyncio.Task[None]"]:
    """A process, the times at which it was ended, and its runner's task."""
    process = OrdersProcess(server, confirms_at_once=False)
    ended: list[float] = []

    def end_process() -> None:
        ended.append(asyncio.get_running_loop().time())
        broker.is_process_ended = True

    runner = BrokerRunner(
        process.log, process.views, process.reporter, lambda _: broker, process.rng,
        end_process=end_process,
    )  # fmt: skip
    await process.start(with_broker=False)
    task = asyncio.create_task(runner.run())
    await asyncio.sleep(1)
    return process, ended, task


async def test_a_broker_that_goes_on_after_the_lease_was_lost_ends_the_process(
    server: MemoryServer,
) -> None:
    process, ended, running = await start_stoppable(server, EndlessBroker())
    lost_at = asyncio.get_running_loop().time()
    running.cancel()
    await asyncio.wait({running}, timeout=60)
    assert ended == [lost_at + STOP_SECONDS]
    await process.kill()


async def test_a_broker_that_goes_on_after_its_own_failure_ends_the_process(
    server: MemoryServer,
) -> None:
    process, ended, running = await start_stoppable(server, EndlessBroker())
    placed = await process.place_order(place_request("10", limit="100"))
    await process.cancel_order(placed.order.order_id)
    await asyncio.sleep(60)
    assert len(ended) == 1
    running.cancel()
    await process.kill()


async def test_a_broker_that_takes_its_time_to_end_does_not_end_the_process(
    server: MemoryServer,
) -> None:
    process, ended, running = await start_stoppable(server, SlowlyEndingBroker())
    running.cancel()
    await asyncio.wait({running}, timeout=60)
    assert running.cancelled()
    assert not ended
    await process.kill()


class CancellingFault:
    """Cancels instead of raising, the first `times` that `place` is reached."""

    def __init__(self, place: str, times: int = 2) -> None:
        self.place, self.times = place, times

    def __call__(self, place: str) -> object:
        if place == self.place and self.times:
            self.times -= 1
            raise asyncio.CancelledError
        return None


@pytest.mark.parametrize("place", ["run", "order", "add_order"])
async def test_a_broker_that_cancels_itself_is_made_again(server: MemoryServer, place: str) -> None:
    process = OrdersProcess(server, confirms_at_once=False)
    await process.start(with_broker=False)
    await process.place_order(place_request("10", limit="100"))
    fault = CancellingFault(place)
    process.make_broker = lambda _: FillingBroker(fault)
    process.spawn(process.runner.run())
    await wait_for_log(server, "filled", lambda seen: order_statuses(seen) == ["filled 10"])
    assert not fault.times
    process.raise_task_errors()
    await process.kill()


async def test_a_problem_of_the_broker_is_reported_when_it_comes_changes_and_goes() -> None:
    health = BrokerHealth()
    reported: list[str | None] = []
    watching = asyncio.create_task(
        health.watch(lambda: reported.append(health.find_problem() or health.find_failure()))
    )
    await asyncio.sleep(0.1)
    for problem in ("no session", "no session", "wrong password", None):
        health.set_problem(problem)
        await asyncio.sleep(1)
    health.set_failure("KeyError")
    await asyncio.sleep(1)
    health.clear()
    await asyncio.sleep(1)
    assert reported == [
        "the broker: no session",
        "the broker: wrong password",
        None,
        "the broker failed: KeyError",
        None,
    ]
    watching.cancel()
