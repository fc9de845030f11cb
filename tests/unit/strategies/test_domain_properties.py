"""Properties of a strategy under any commands: verification finds nothing, and repeats do nothing.

Random commands, many of them stale or repeated, are decided one after the other. The rules that the
events must follow are stated once, in `tapewire.verify`.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import (
    CATALOGUE,
    CODEC,
    DecisionMade,
    Event,
    ExitReason,
    Order,
    OrderFilled,
    OrderStatus,
    OrderType,
    Side,
    Strategy,
    StrategyEvent,
    StrategySplit,
    TakeProfit,
)
from tapewire.log import CommandRejected, EventMetadata, EventSubject, RecordedEvent
from tapewire.runtime.contracts.strategies import StopPosition
from tapewire.verify.findings import Findings, VerificationDifference
from tapewire.verify.invariants.splits import SplitInvariants
from tapewire.verify.invariants.strategies import StrategyInvariants
from tapewire.verify.reference_index import ReferenceIndex
from tapewire_services.strategies.domain.commands import ApplyFillCommand, Command
from tests.unit.strategies.spec import (
    STRATEGY_ID,
    USER,
    StrategyHistory,
    buy,
    continue_exit,
    create,
    delete,
    end_order,
    fail,
    fill,
    make_settings,
    make_stop_loss,
    sell,
    start,
    stop,
    trigger_stop_loss,
    update,
)

COMMAND_COUNT = 40


class RecordingVerifier:
    """Records events one by one and has `tapewire.verify` check each."""

    def __init__(self) -> None:
        self.differences: list[VerificationDifference] = []
        self._sequence = 0
        self._last: RecordedEvent | None = None
        self._invariants = StrategyInvariants(
            Findings(self.differences.append),
            ReferenceIndex(),
            SplitInvariants(
                Findings(self.differences.append), ReferenceIndex(), has_full_history=True
            ),
            fills_processed_up_to=1 << 40,
            has_full_history=True,
        )

    def record_fill(self, command: ApplyFillCommand, strategy: Strategy) -> None:
        """Record the fill of the pending order that `command` reports."""
        pending = strategy.order
        if pending is None or pending.order_id != command.order_id:
            return
        order = Order(
            order_id=command.order_id,
            client_order_id=pending.client_order_id,
            symbol=strategy.symbol,
            side=pending.side,
            type=OrderType.MARKET,
            qty=pending.qty,
            limit_price=None,
            status=OrderStatus.PARTIALLY_FILLED,
            filled_qty=command.filled_qty,
            filled_avg_price=command.price,
            strategy_id=STRATEGY_ID,
            reason=None,
            timestamp=command.at,
        )
        event = OrderFilled(
            order=order,
            command_id="fill",
            trade_id=command.trade_id,
            qty=command.filled_qty - pending.filled_qty,
            price=command.price,
        )
        self._invariants.record_fill(self._record(event, "orders", command.id), event)

    def record(self, event: Event) -> None:
        """Record an event of the strategy, or a decision."""
        before = self._last
        if isinstance(event, DecisionMade):
            self._invariants.check_decision(self._record(event, "decisions"), event, before)
        elif isinstance(event, StrategyEvent):
            self._invariants.check_strategy(self._record(event, "strategies"), event)

    def finish(self) -> list[VerificationDifference]:
        self._invariants.finish()
        return self.differences

    def _record(self, event: Event, domain: str, id_: str = "") -> RecordedEvent:
        self._sequence += 1
        entity = STRATEGY_ID if domain != "orders" else "order"
        self._last = RecordedEvent(
            sequence=self._sequence,
            subject=str(EventSubject(USER, domain, entity)),
            tag=CATALOGUE.tag_of(type(event)),
            data=CODEC.encode(event),
            metadata=EventMetadata(id=id_ or f"e{self._sequence}", correlation="c"),
            time=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return self._last


def random_command(rng: random.Random, strategy: Strategy, number: int) -> Command:
    """A command that often fits the strategy, and sometimes is stale."""
    orders = max(0, strategy.orders - (rng.random() < 0.1))
    price = str(rng.randrange(90, 111))
    pending = strategy.order

    def fill_pending() -> Command:
        if pending is None:
            return fill(str(orders), "1", price)
        suffix = pending.client_order_id.removeprefix(f"{STRATEGY_ID}-")
        left = pending.qty - pending.filled_qty
        part = left if rng.random() < 0.5 else max(Decimal(1), left // 2)
        return fill(suffix, str(pending.filled_qty + min(left, part)), price)

    def end_pending() -> Command:
        suffix = "1" if pending is None else pending.client_order_id.split("-", 1)[1]
        return end_order(
            suffix, rng.choice([None, *OrderStatus]), is_position_gone=rng.random() < 0.5
        )

    def trigger() -> Command:
        reason = rng.choice([ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT])
        return trigger_stop_loss(closing, order_count=orders, reason=reason)

    closing = Side.SELL if strategy.position > 0 else Side.BUY
    choices: list[tuple[int, Callable[[], Command]]] = [
        (2, start),
        (1, lambda: stop(position=rng.choice(list(StopPosition)))),
        (1, delete),
        (1, fail),
        (1, lambda: update(quantity=Decimal(rng.randrange(1, 200)))),
        (1, lambda: update(stop_loss=rng.choice([None, make_stop_loss()]))),
        (1, lambda: update(take_profit=rng.choice([None, TakeProfit(percent=Decimal(2))]))),
        (1, lambda: update(max_trades=rng.choice([None, strategy.trades + 2]))),
        (4, lambda: buy(price, order_count=orders)),
        (4, lambda: sell(price, order_count=orders)),
        (3, trigger),
        (1, lambda: continue_exit(orders)),
        (8, fill_pending),
        (2, end_pending),
    ]
    weights, builders = zip(*choices, strict=True)
    command = rng.choices(builders, weights)[0]()
    numbered: Command = msgspec.structs.replace(command, id=f"{number}")
    return numbered


def decide_randomly(seed: int) -> tuple[list[VerificationDifference], list[Event]]:
    """Decide on random commands. Return what verification finds, and the events."""
    rng, verifier = random.Random(seed), RecordingVerifier()
    history = StrategyHistory([create(make_settings(stop_loss=make_stop_loss()))])
    verifier.record(history.events[0])
    decided: list[Command] = []
    for number in range(COMMAND_COUNT):
        command, before = random_command(rng, history.strategy, number), history.strategy
        try:
            new_events = history.decide(command)
        except CommandRejected:
            continue
        if isinstance(command, ApplyFillCommand) and new_events:
            verifier.record_fill(command, before)
        for one in new_events:
            verifier.record(one.event)
        decided += [command] if new_events else []
        for repeated in decided[-3:]:
            assert history.decide(repeated) == [], "a repeated command has no effect"
    return verifier.finish(), history.events


@examples(st.integers(0, 1 << 32))
def test_verification_finds_nothing_in_what_is_decided(seed: int) -> None:
    differences, _ = decide_randomly(seed)
    assert differences == []


def test_random_commands_reach_every_kind_of_event() -> None:
    types = {type(event) for seed in range(100) for event in decide_randomly(seed)[1]}
    commands_of_market = {StrategySplit}  # test_splits
    assert types == {*StrategyEvent.__subclasses__(), DecisionMade} - commands_of_market
