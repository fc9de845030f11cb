"""Properties of an order under any sequence of commands, repeated or not."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import OrderEvent, Side, TimeInForce, TradeExecuted
from tapewire.log import CommandRejected, EventDraft, EventMetadata
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire_services.orders.domain.commands import (
    BookExecutionCommand,
    Command,
    FillOrderCommand,
)
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import UnplacedState, WorkingState
from tests.harness import virtual_time
from tests.harness.order_builders import (
    OrderHistory,
    accept,
    at,
    cancel,
    confirm_replace,
    execution,
    fail,
    fill,
    given,
    note_waiting,
    place,
    reject,
    reject_cancel,
    reject_replace,
    replace,
    request_cancel,
    trigger,
)
from tests.harness.verification import find_differences, net_cash

QTY = Decimal("100.5")


OTHERS: dict[str, Callable[[str], Command]] = {
    "accept": accept,
    "cancel": cancel,
    "reject": reject,
    "fail": fail,
    "place": lambda id_: place(str(QTY), id=id_),
    "wait": lambda id_: note_waiting(id=id_),
    "request cancel": request_cancel,
    "reject cancel": reject_cancel,
    "confirm": confirm_replace,
    "refuse": reject_replace,
    "trigger": trigger,
}


KINDS: list[dict[str, Any]] = [
    {},
    {"limit": "100"},
    {"stop": "98", "limit": "97", "side": Side.SELL, "time_in_force": TimeInForce.DAY},
    {"stop": "98", "reduce_only": True, "time_in_force": TimeInForce.FOK},
]


@st.composite
def commands(draw: st.DrawFn) -> Command:
    """Mostly fills; one in ten names a wrong `filled_before`. What a venue reports names one of a
    few executions, so it is often reported again, or for an order that is closed."""
    number = draw(st.integers(0, 30))
    kind = draw(st.sampled_from(["fill", "execution"] * 5 + ["replace"] * 3 + [*OTHERS]))
    if kind in OTHERS:
        return OTHERS[kind](f"{kind}{number}")
    qty = draw(st.decimals("0.000001", 60, places=6))
    price = draw(st.decimals("0.00000001", 1_000_000, places=8))
    if kind == "replace":
        limit = draw(st.none() | st.just("99.5"))
        is_asked = draw(st.booleans())
        return replace(str(qty * 2), limit, is_asked=is_asked, id=f"replace{number}")
    if kind == "execution":
        fee = draw(st.sampled_from(["0", "0.35", "-0.00000001"]))
        return execution(f"E{draw(st.integers(0, 5))}", str(qty), str(price), fee=fee)
    return FillOrderCommand(
        id=f"fill{number}",
        at=at(draw(st.integers(-5, 5))),
        user="alice",
        qty=qty,
        price=price,
        filled_before=Decimal(-1 if draw(st.integers(0, 9)) == 0 else 0),
    )


def play(sequence: list[Command], kind: int = 0) -> OrderHistory:
    """Decide all, on one of several kinds of orders. A fill with a `filled_before` of 0 gets the
    quantity that is filled by then."""
    order = given(place(str(QTY), **KINDS[kind]))
    for command in sequence:
        if isinstance(command, FillOrderCommand) and command.filled_before == 0:
            command = with_current_filled_qty(order, command)
        try_to_decide(order, command)
    return order


def with_current_filled_qty(order: OrderHistory, command: FillOrderCommand) -> FillOrderCommand:
    assert not isinstance(order.state, UnplacedState)
    filled = order.state.order.filled_qty
    return FillOrderCommand(
        id=command.id,
        at=command.at,
        user=command.user,
        qty=command.qty,
        price=command.price,
        filled_before=filled,
    )


def try_to_decide(order: OrderHistory, command: Command) -> int:
    try:
        return len(order.decide(command))
    except CommandRejected:
        return 0


def to_drafts(history: OrderHistory) -> list[EventDraft]:
    """The events of `history` as the service appends them."""
    drafts: list[EventDraft] = []
    command_id = ""
    for number, new in enumerate(history.new_events):
        event = new.event
        command_id = event.command_id if isinstance(event, OrderEvent) else command_id
        metadata = EventMetadata(id=f"e{number}", correlation="c", causation=command_id)
        drafts.append(EventDraft(subject=new.subject, event=event, metadata=metadata))
    return drafts


async def find_differences_in(drafts: list[EventDraft]) -> list[str]:
    server = MemoryServer()
    log = MemoryEventLog(server)
    await log.append(drafts)
    return (await find_differences(log, MemoryLatestValueStore(server, prefix="view")))[0]


@examples(st.lists(commands(), max_size=40), st.integers(0, len(KINDS) - 1))
def test_every_history_passes_verification(sequence: list[Command], kind: int) -> None:
    """Quantities, averages, prices, fees, states and trades are as `tapewire verify` computes
    them."""
    drafts = to_drafts(play(sequence, kind))
    assert virtual_time.run(find_differences_in(drafts)) == []


@examples(st.lists(commands(), max_size=40), st.data())
def test_a_repeated_command_changes_nothing(sequence: list[Command], data: st.DataObject) -> None:
    order = play(sequence)
    before = order.state
    decided = [event.command_id for event in order.events if isinstance(event, OrderEvent)]
    for id_ in decided:
        repeats: list[Command] = [fill("1", id=id_), cancel(id_), accept(id_), fail(id_)]
        again = data.draw(st.sampled_from(repeats))
        assert try_to_decide(order, again) == 0
    assert try_to_decide(order, place(str(QTY), id="again")) == 0
    assert order.state == before


@examples(st.lists(commands(), max_size=40), st.integers(0, len(KINDS) - 1))
def test_every_reported_execution_is_on_order_and_trades_once(
    sequence: list[Command], kind: int
) -> None:
    order = play(sequence, kind)
    reported: dict[str, Decimal] = {}
    for command in sequence:
        if isinstance(command, BookExecutionCommand):
            reported.setdefault(command.execution_id, command.qty)
    trades = [event for event in order.events if isinstance(event, TradeExecuted)]
    booked = {one.execution_id: one.qty for one in trades if one.execution_id is not None}
    assert booked == reported
    assert sum(one.qty for one in trades) == order.order.filled_qty
    assert len(booked) == sum(one.execution_id is not None for one in trades)


@examples(st.lists(commands(), max_size=40))
def test_the_state_is_the_fold_of_the_stored_events(sequence: list[Command]) -> None:
    order = play(sequence)
    state = ORDER_DECIDER.initial_state
    for new_event in order.new_events:
        if new_event.subject.domain == "orders":
            state = ORDER_DECIDER.evolve(state, new_event.event)
    assert state == order.state


def test_a_fill_is_not_repeated_after_its_command_id_was_forgotten() -> None:
    """An order remembers its last 64 commands; `filled_before` reveals an older one."""
    order = given(place("100"), *(fill("1", filled_before=str(number)) for number in range(80)))
    assert isinstance(order.state, WorkingState)
    assert "f0" not in order.state.seen_command_ids
    order.when(fill("1")).then_rejected("conflict", "filledBefore")


@pytest.mark.parametrize("seed", range(20))
def test_any_split_of_a_fill_moves_the_same_shares_and_the_same_cash(seed: int) -> None:
    rng = random.Random(seed)
    price, left, parts = "99.37", Decimal(10), list[Decimal]()
    while left and len(parts) < 5:
        parts.append(min(left, Decimal(rng.randrange(1, 5_000_000)).scaleb(-6)))
        left -= parts[-1]
    parts += [left] if left else []
    order = given(place("10"))
    for number, qty in enumerate(parts):
        state: Any = order.state
        before = state.order.filled_qty
        order.decide(FillOrderCommand(id=f"f{number}", at=at(1), user="alice", qty=qty,
                          price=Decimal(price), filled_before=before))  # fmt: skip
    traded = [event for event in order.events if isinstance(event, TradeExecuted)]
    assert net_cash(order.events) == -10 * net_cash([TradeExecuted(
        trade_id="t", order_id="o", symbol="IBM", side=Side.SELL, qty=Decimal(1),
        price=Decimal(price), strategy_id=None, timestamp=at(0))])  # fmt: skip
    assert sum(one.qty for one in traded) == 10
    end: Any = order.state
    assert (end.order.status.value, str(end.order.filled_avg_price)) == ("filled", price)
