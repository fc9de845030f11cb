"""Orders whose symbol is split: terms, executions and the broker, in any order of events."""

import asyncio
import random
from decimal import Decimal
from functools import partial

import pytest

from tapewire.events import (
    OrderFilled,
    OrderSplit,
    OrderStatus,
    Side,
    SplitExecuted,
    SplitRatio,
)
from tapewire.log import RecordedEvent
from tapewire.log.bounds import Bounds
from tapewire.log.memory import Faults, MemoryLatestValueStore, MemoryServer
from tapewire.log.splits import make_split, split_of
from tapewire.runtime.contracts.orders import SplitSymbol
from tapewire_services.orders.domain.commands import SplitOrderCommand
from tapewire_services.orders.symbol_splits import SymbolSplits
from tests.harness.memory_process import make_context, retry_until_answered
from tests.harness.order_builders import (
    START,
    USER,
    accept,
    at,
    bust,
    cancel,
    execution,
    fill,
    given,
    place,
    replace,
)
from tests.harness.orders_process import (
    OrdersProcess,
    QuoteSimulator,
    place_request,
    read_log_summary,
    wait_for_log,
)
from tests.harness.verification import assert_verified

pytestmark = pytest.mark.virtual_time


def split(shares: int = 10, for_shares: int = 1, number: int = 1) -> SplitOrderCommand:
    ratio = SplitRatio(shares=shares, for_shares=for_shares)
    made = make_split(f"S{number}", "IBM", ratio, number, ("e", 1), START)
    return SplitOrderCommand(id=f"split {number}", at=at(6), user=USER, split=made)


def test_a_working_order_gets_the_terms_of_the_new_shares() -> None:
    order = given(place("100", limit="180"), accept(), fill("40", "179.5"))
    order.when(split()).then("orders: split partially_filled 400/1000 avg 17.95")
    assert (order.order.limit_price, order.order.splits) == (Decimal(18), 1)
    order.when(split()).then()
    order.when(split(number=2, shares=1, for_shares=10)).then(
        "orders: split partially_filled 40/100 avg 179.5"
    )


@pytest.mark.parametrize(
    ("ratio", "limit", "expected"),
    [
        ((3, 2), "100", ("66.66666667", "15", "6")),
        ((1, 3), "100", ("300", "3.333333", "1.333333")),
        ((7, 3), "0.00000001", None),
        ((1, 10_000), "100", ("1000000", "0.001", "0.0004")),
    ],
)
def test_fractions_are_rounded_and_what_cannot_be_said_is_canceled(
    ratio: tuple[int, int], limit: str, expected: tuple[str, str, str] | None
) -> None:
    order = given(place("10", limit=limit), accept(), fill("4", limit))
    order.decide(split(*ratio))
    if expected is None:
        assert order.order.status is OrderStatus.CANCELED
        return
    found = (order.order.limit_price, order.order.qty, order.order.filled_qty)
    assert found == tuple(map(Decimal, expected))


def test_stops_and_what_was_asked_for_follow() -> None:
    order = given(place("10", limit="50", stop="55"), accept(), replace("20", "60"))
    order.decide(split(2, 1))
    now = order.order
    terms = (now.qty, now.limit_price, now.stop_price)
    assert terms == (Decimal(20), Decimal(25), Decimal("27.5"))
    assert now.replacement is not None
    wanted = (now.replacement.qty, now.replacement.limit_price)
    assert wanted == (Decimal(40), Decimal(30))
    assert now.status is OrderStatus.PENDING_REPLACE


def test_a_closed_order_is_not_split_and_an_old_proposal_does_not_fit() -> None:
    given(place("10"), cancel()).when(split()).then_rejected("conflict")
    order = given(place("10"), accept(), split())
    order.when(fill("5")).then_rejected("conflict", "splits", message="split meanwhile")


def test_an_execution_from_before_a_split_is_not_corrected() -> None:
    order = given(place("10"), accept(), execution("E1", "4"), split(), execution("E2", "10", "10"))
    order.when(bust("E1")).then_rejected("conflict", message="before a split")
    order.when(bust("E2")).then(
        "orders: executioncorrected partially_filled 40/100 avg 10",
        "trades: trade 10@10 is 0@10",
        "alerts: error",
    )


class SplitTrial:
    """A broker, and processes that may be killed while the symbol is split."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        self.server = server
        self.faults = faults
        self.feed = QuoteSimulator(server)
        self.process: OrdersProcess

    async def start(self) -> None:
        self.process = await OrdersProcess(self.server, self.faults).start()

    async def split(self, id_: str = "S", shares: int = 10, for_shares: int = 1) -> None:
        """Split IBM, and wait until every open order has the terms of the new shares."""
        request = SplitSymbol(split_id=id_, symbol="IBM", shares=shares, for_shares=for_shares)
        while True:
            process = self.process
            splits = SymbolSplits(
                process.log,
                process.runner,
                process.quote_cache.add_split,
                self.read_bounds,
                process.quote_cache.knows_symbol,
            )
            ask = partial(splits.split, request, make_context())
            reply = await retry_until_answered(ask)
            if not reply.unsplit_orders:
                return
            await asyncio.sleep(0.01)

    async def read_bounds(self) -> Bounds:
        return await MemoryLatestValueStore(self.server).bounds()

    async def events(self) -> list[RecordedEvent]:
        return (await read_log_summary(self.server)).events


async def test_nothing_is_executed_between_the_split_and_the_first_quote_after_it() -> None:
    trial = SplitTrial(MemoryServer())
    await trial.feed.publish_quote("99", "100", "5")
    await trial.start()
    placed = await trial.process.place_order(place_request("8", limit="100"))
    await wait_for_log(trial.server, "5 filled", lambda log: filled(log.events) == 5)
    await trial.split()
    await trial.feed.repeat_quote()
    market = await trial.process.place_order(place_request("7", client_order_id="new"))
    await asyncio.sleep(5)
    assert filled(await trial.events()) == 5
    await trial.feed.publish_quote("9.9", "10", "1000")
    seen = await wait_for_log(trial.server, "all filled", lambda log: not log.open_orders())
    first, second = seen.orders[placed.order.order_id], seen.orders[market.order.order_id]
    paid = Decimal("10")  # 50 shares at 10, which were 5 at 100, and 30 at 10
    assert (first.qty, first.filled_qty, first.filled_avg_price) == (Decimal(80), Decimal(80), paid)
    assert (second.qty, second.filled_avg_price) == (Decimal(7), paid)
    await assert_verified(trial.server, allow_pending=True)
    await trial.process.kill()


def filled(events: list[RecordedEvent]) -> Decimal:
    return sum((one.event.qty for one in events if isinstance(one.event, OrderFilled)), Decimal(0))


@pytest.mark.parametrize("seed", range(15))
async def test_every_execution_is_of_the_shares_of_its_time(seed: int) -> None:
    """Orders, quotes and kills around a split: each order buys what it asked for, at prices of the
    shares that there were, whatever came first."""
    rng = random.Random(seed)
    trial = SplitTrial(MemoryServer())
    await trial.feed.publish_quote("99", "100", "3")
    await trial.start()

    async def trade() -> None:
        for number in range(12):
            side = rng.choice([*Side])
            limit = rng.choice([None, "100", "99"])
            await trial.process.place_order(
                place_request(str(rng.randrange(1, 6)), side=side, limit=limit,
                              client_order_id=f"c{number}")
            )  # fmt: skip
            await asyncio.sleep(rng.choice([0, 0.01, 0.1]))
            if rng.random() < 0.4:
                await trial.feed.publish_quote("99", "100", str(rng.randrange(1, 9)))

    async def kill() -> None:
        await asyncio.sleep(rng.random() / 4)
        await trial.process.kill()
        await trial.start()

    await trade()
    killing = asyncio.ensure_future(kill()) if rng.random() < 0.6 else None
    if killing is not None:
        await killing
    await trial.split(shares=10)
    for _ in range(3):
        await trial.feed.publish_quote("9.9", "10", str(rng.randrange(20, 200)))
        await asyncio.sleep(1)
    events = await trial.events()
    [split_at] = [
        one.sequence for one in events if split_of(one) and one.event_subject.domain == "orders"
    ]
    for one in events:
        if isinstance(one.event, OrderFilled):
            is_new = one.sequence > split_at
            assert (one.event.price < 20) is is_new
            assert one.event.order.splits == (1 if is_new else 0)
    await assert_verified(trial.server, allow_pending=True)
    await trial.process.kill()


@pytest.mark.parametrize("seed", range(4))
async def test_many_orders_are_split_once_through_faults_and_kills(seed: int) -> None:
    server = MemoryServer()
    trial = SplitTrial(server)
    await trial.feed.publish_quote("99", "100")
    await trial.start()
    for number in range(60):
        await trial.process.place_order(
            place_request("3", limit="50", client_order_id=f"c{number}", user=f"u{number}")
        )
    splitting = asyncio.ensure_future(trial.split(shares=3, for_shares=2))
    rng = random.Random(seed)
    for _ in range(3):
        await asyncio.sleep(rng.random() / 200)
        await trial.process.kill()
        await trial.start()
        if splitting.done():
            break
        splitting.cancel()
        splitting = asyncio.ensure_future(trial.split(shares=3, for_shares=2))
    await splitting
    events = await trial.events()
    splits = [one for one in events if isinstance(one.event, OrderSplit)]
    assert len({one.subject for one in splits}) == len(splits) == 60
    assert {one.event.order.qty for one in splits} == {Decimal("4.5")}  # type: ignore[attr-defined]
    assert len([one for one in events if isinstance(one.event, SplitExecuted)]) == 5  # domains
    await assert_verified(server, allow_pending=True)
    await trial.process.kill()
