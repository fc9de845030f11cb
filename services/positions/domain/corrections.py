"""What corrections of trades make of a position: it is folded again from all trades. Pure.

An average cost cannot be undone: which part of the dollars is realized depends on every trade
since. So the position after a correction is what its trades make of it if the corrected one had
always been like this, or had never been if it was busted. Start at `refold_position`.
"""

from collections.abc import Iterable, Sequence

import msgspec

from tapewire.events import (
    ExecutionTerms,
    Position,
    Side,
    SplitExecuted,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import CommandRejected
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    Command,
    SplitPositionCommand,
    State,
    TradedState,
    build_trade_command,
)

Trade = TradeExecuted | TradeCorrected
Change = TradeExecuted | TradeCorrected | SplitExecuted
"""What changes a position."""
_Step = tuple[int, TradeExecuted | SplitExecuted]
"""A change and its sequence."""


def refold_position(
    base: State, user: str, history: Iterable[tuple[int, Change]], correction: TradeCorrected
) -> Position:
    """The position after `correction`.

    Args:
        base: the position before `history`.
        history: the sequences and events of all trades and splits of the symbol since, in the
            order of the log, with `correction` as the last.

    A correction of a trade that `history` does not reach back to is applied as two trades: one that
    undoes it, and the corrected one.
    """
    trades: dict[str, list[tuple[int, TradeExecuted]]] = {}
    splits: list[_Step] = []
    for sequence, event in history:
        if isinstance(event, SplitExecuted):
            splits.append((sequence, event))
        elif isinstance(event, TradeExecuted):
            trades[event.trade_id] = [(sequence, event)]
        elif trades.get(event.trade_id):
            [(place, trade)] = trades[event.trade_id]
            trades[event.trade_id] = _correct(place, trade, event)
        else:
            trades[f"{event.trade_id}/{event.number}"] = _reverse(sequence, event)
    state = base
    for _, step in _in_order([splits, *trades.values()]):
        state = _apply(state, user, step)
    if not isinstance(state, TradedState):
        return Position.before_trades(correction.symbol, correction.timestamp)
    return msgspec.structs.replace(state.position, timestamp=correction.timestamp)


def _in_order(parts: Iterable[Sequence[_Step]]) -> list[_Step]:
    return sorted((one for part in parts for one in part), key=lambda one: one[0])


def _correct(
    place: int, trade: TradeExecuted, event: TradeCorrected
) -> list[tuple[int, TradeExecuted]]:
    if not event.qty:
        return []
    return [
        (place, msgspec.structs.replace(trade, qty=event.qty, price=event.price, fee=event.fee))
    ]


def _reverse(sequence: int, event: TradeCorrected) -> list[tuple[int, TradeExecuted]]:
    other_side = Side.SELL if event.side is Side.BUY else Side.BUY
    before = event.before
    undone = msgspec.structs.replace(before, fee=before.fee.copy_negate())
    found = [(sequence, _to_trade(event, other_side, undone))] if before.qty else []
    if event.qty:
        terms = ExecutionTerms(qty=event.qty, price=event.price, fee=event.fee)
        found.append((sequence, _to_trade(event, event.side, terms)))
    return found


def _to_trade(event: TradeCorrected, side: Side, terms: ExecutionTerms) -> TradeExecuted:
    return TradeExecuted(
        trade_id=event.trade_id,
        order_id=event.order_id,
        symbol=event.symbol,
        side=side,
        qty=terms.qty,
        price=terms.price,
        strategy_id=event.strategy_id,
        timestamp=event.timestamp,
        fee=terms.fee,
    )


def _apply(state: State, user: str, step: TradeExecuted | SplitExecuted) -> State:
    sequence = state.trade_sequence + 1 if isinstance(state, TradedState) else 1
    command: Command
    try:
        if isinstance(step, SplitExecuted):
            command = SplitPositionCommand(id="", user=user, sequence=sequence, split=step)
        else:
            command = build_trade_command("", user, sequence, step)
    except CommandRejected:
        return state  # as when it was executed: it changes no position
    for new_event in POSITION_DECIDER.decide(state, command):
        state = POSITION_DECIDER.evolve(state, new_event.event)
    return state
