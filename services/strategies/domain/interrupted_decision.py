"""What a strategy's event lacks whose atomic batch was stored in part. Pure.

A signal lacks its decision. A fill may lack the end of its stop-loss or take-profit, and what
follows it; every other change lacks what follows it: the closing order of an exit, or the
completion of the strategy. Start at `missing_strategy_events`.
"""

from collections.abc import Sequence
from decimal import Decimal

from tapewire.decimals import normalize
from tapewire.events import (
    Event,
    StopLossExecuted,
    StrategyEvent,
    StrategySignaled,
    StrategyTraded,
    TakeProfitExecuted,
)
from tapewire_services.strategies.domain import exits, trading
from tapewire_services.strategies.domain.commands import (
    ApplyFillCommand,
    EndOrderCommand,
    decision_time,
)
from tapewire_services.strategies.domain.strategy import STRATEGY_DECIDER, CreatedStrategyState


def missing_strategy_events(user: str, history: Sequence[StrategyEvent]) -> Sequence[Event]:
    """The events that were decided together with the last one of `history`, all events of a
    strategy so far, and come after it.

    Raises:
        ValueError: they cannot be derived.
    """
    last = history[-1]
    if isinstance(last, StrategySignaled):
        return [trading.decision_of_signal(last, decision_time(last.command_id))]
    if isinstance(last, StrategyTraded | StopLossExecuted | TakeProfitExecuted):
        return _missing_after_fill(user, history)
    ended = EndOrderCommand(
        id=last.command_id,
        at=last.strategy.timestamp,
        user=user,
        strategy_id=last.strategy.strategy_id,
        order_id="",
        status=None,
        reason=None,
    )
    return exits.proceed(last.strategy, ended)


def _missing_after_fill(user: str, history: Sequence[StrategyEvent]) -> Sequence[Event]:
    """Decide the fill again, and leave out what is stored of it."""
    command_id = history[-1].command_id
    stored = [each for each in history[-2:] if each.command_id == command_id]
    [traded, *_] = stored
    state = STRATEGY_DECIDER.initial_state
    for each in history[: -len(stored)]:
        state = STRATEGY_DECIDER.evolve(state, each)
    if not isinstance(traded, StrategyTraded) or not isinstance(state, CreatedStrategyState):
        raise ValueError("the events before the fill are not in the journal")
    order = state.strategy.order
    is_late = order is None or order.order_id != traded.order_id
    filled_before = Decimal(0) if order is None else order.filled_qty
    command = ApplyFillCommand(
        id=command_id,
        at=traded.strategy.timestamp,
        user=user,
        strategy_id=traded.strategy.strategy_id,
        order_id=traded.order_id,
        trade_id=traded.trade_id,
        filled_qty=normalize(filled_before + traded.qty),
        price=traded.price,
        side=traded.side,
        late_qty=traded.qty if is_late else None,
    )
    return trading.apply_fill(state.strategy, state.holding, command)[len(stored) :]
