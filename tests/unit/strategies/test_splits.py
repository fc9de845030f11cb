"""Strategies whose symbol is split: the stop-loss sells nothing because of it, in any order of
events, quotes and takeovers."""

import itertools
import random
from decimal import Decimal

import msgspec
import pytest

from tapewire.events import Event, SplitExecuted, SplitRatio, StopLossKind, StrategyEvent
from tapewire.log import EventMetadata, EventSubject, RecordedEvent
from tapewire.log.splits import SplitQuotes, make_split
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies, TrackedStrategy
from tapewire_services.strategies.domain.commands import SplitStrategyCommand
from tapewire_services.strategies.domain.protection import (
    ProtectionState,
    apply_price,
    follow_splits,
)
from tests.unit.strategies.spec import (
    START_TIME,
    USER,
    StrategyHistory,
    buy,
    command_fields,
    fill,
    given,
    holding_commands,
    make_settings,
    make_stop_loss,
    sell,
    started_commands,
    trigger_stop_loss,
)

TRAILING = make_settings(stop_loss=make_stop_loss("5", StopLossKind.TRAILING), take_profit="50")


def split(shares: int = 10, for_shares: int = 1, number: int = 1) -> SplitExecuted:
    ratio = SplitRatio(shares=shares, for_shares=for_shares)
    return make_split(f"S{number}", "IBM", ratio, number, ("e", 100), START_TIME)


def split_command(made: SplitExecuted) -> SplitStrategyCommand:
    return SplitStrategyCommand(**command_fields(f"split {made.number}", 6), split=made)


def test_a_strategy_gets_the_quantities_and_the_entry_price_of_the_new_shares() -> None:
    strategy = given(*holding_commands(TRAILING))
    strategy.when(split_command(split())).then("Split: started, holds 1000@10")
    assert strategy.strategy.quantity == 1000
    strategy.when(split_command(split())).then()
    strategy.when(split_command(split(1, 10, 2))).then("Split: started, holds 100@100")
    strategy.when(sell(order_count=1)).then(
        "Signaled: started, holds 100@100, order 2 sell 0/100", "decision sell taken"
    )


def test_a_pending_order_and_an_exit_follow() -> None:
    entry = given(*started_commands(TRAILING), buy(), fill("1", "40"))
    entry.when(split_command(split(3, 2))).then(
        "Split: started, holds 60@66.66666667, order 1 buy 60/150"
    )
    entry.when(fill("1", "150", "66")).then("Traded: started by buy 90@66, holds 150@66.26666667")
    exiting = given(*holding_commands(TRAILING), trigger_stop_loss())
    exiting.when(split_command(split())).then(
        "Split: started, holds 1000@10, order 2-sl sell 0/1000"
    )
    assert exiting.strategy.exit is not None
    assert exiting.strategy.exit.trigger_price == Decimal("9.9")


class Runner:
    """What the runner of one process knows: the strategies' events, the quotes and its splits."""

    def __init__(self, history: StrategyHistory) -> None:
        self.history = history
        self.active = ActiveStrategies()
        self.protection = ProtectionState()
        self.quotes = SplitQuotes()
        self.sequence = 0
        for event in history.events:
            if isinstance(event, StrategyEvent):
                self.fold(event)

    @property
    def tracked(self) -> TrackedStrategy:
        [tracked] = self.active.get_all()
        return tracked

    def fold(self, event: Event, owner: str = USER) -> None:
        self.sequence += 1
        recorded = RecordedEvent(
            sequence=self.sequence,
            subject=str(EventSubject(owner, "strategies", "s1")),
            tag="",
            data=b"",
            metadata=EventMetadata(id=f"e{self.sequence}", correlation="c"),
            time=START_TIME,
        )
        recorded._event = event  # as decoded
        self.active.apply(recorded)
        if isinstance(event, SplitExecuted):
            self.quotes.add(event)

    def on_quote(self, price: str, sequence: int) -> bool:
        """Whether the price touches an exit, as the worker handles it."""
        if self.quotes.is_before_split("IBM", "e", sequence, None):
            return False
        tracked = self.tracked
        if tracked.pending_split is not None:
            return False
        state = follow_splits(self.protection, tracked.splits)
        self.protection = apply_price(
            state, tracked.strategy, tracked.position_since, Decimal(price)
        )
        return self.protection.touch is not None

    def take_over(self) -> None:
        """Another process continues from the checkpoints."""
        state = msgspec.json.encode(self.protection)
        self.active = ActiveStrategies.decode(self.active.encode())
        self.protection = msgspec.json.decode(state, type=ProtectionState)


STEPS = ("split known", "strategy split", "old quote", "new quote", "takeover")


@pytest.mark.parametrize("is_short", [False, True])
@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)))
def test_no_order_of_events_and_quotes_touches_an_exit(
    order: tuple[str, ...], is_short: bool
) -> None:
    """The price stays the same value. The one rule: the split is known before the first quote of
    the new shares, which the command guarantees."""
    if order.index("new quote") < order.index("split known"):
        return
    if order.index("strategy split") < order.index("split known"):
        return
    action = sell() if is_short else buy()
    history = given(*started_commands(TRAILING), action, fill("1", "100", "100"))
    runner, made = Runner(history), split()
    best = "98" if is_short else "102"
    assert not runner.on_quote(best, 99)
    for step in order:
        match step:
            case "split known":
                runner.fold(made, "_all")
            case "strategy split":
                for new_event in history.decide(split_command(made)):
                    runner.fold(new_event.event)
            case "old quote":
                assert not runner.on_quote("101", 100), order
            case "new quote":
                assert not runner.on_quote("10.05", 101), order
            case "takeover":
                runner.take_over()
    assert not runner.on_quote("10.05", 102)
    touching = "10.3" if is_short else "9.68"  # 5 % from the best price, which was 98 or 102
    assert runner.on_quote(touching, 103)


@pytest.mark.parametrize("seed", range(30))
def test_exits_are_touched_at_the_same_values_with_and_without_splits(seed: int) -> None:
    rng = random.Random(seed)
    plain = Runner(given(*holding_commands(TRAILING)))
    divided = Runner(given(*holding_commands(TRAILING)))
    factor, sequence, number = Decimal(1), 101, 0
    for _ in range(60):
        if rng.random() < 0.1:
            number += 1
            shares, for_shares = rng.choice([(10, 1), (2, 1), (1, 5), (4, 1)])
            ratio = SplitRatio(shares=shares, for_shares=for_shares)
            made = make_split(f"S{number}", "IBM", ratio, number, ("e", sequence), START_TIME)
            divided.fold(made, "_all")
            for new_event in divided.history.decide(split_command(made)):
                divided.fold(new_event.event)
            factor = factor * for_shares / shares
        sequence += 1
        price = Decimal(rng.randrange(8800, 16000)) / 100
        touched = plain.on_quote(str(price), sequence)
        assert divided.on_quote(str(price * factor), sequence) is touched
        if touched:
            return
