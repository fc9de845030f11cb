"""The invariant of accounts: a user's cash is what all trades received less what they paid.

An account is derived from positions (`tapewire.views.account`): its cash is the starting balance
and ``realizedPnl - costBasis`` of all positions together. Here the cash is summed up from the
trades and their corrections alone, without averages and positions, in whole numbers of 10^-21
dollars. Both must be the same as of the last trade that the user's positions contain.
"""

from collections import defaultdict, deque

from tapewire.events import (
    Event,
    ExecutionTerms,
    PositionEvent,
    Side,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tapewire.verify.findings import Findings
from tapewire.verify.fixed_point import (
    COST_PLACES,
    PRICE_PLACES,
    QTY_PLACES,
    UnrepresentableAmount,
    from_units,
    to_units,
)

_TRADES = TradeExecuted | TradeCorrected
_FEE_FACTOR = int(10 ** (COST_PLACES - PRICE_PLACES))


class _CashFlows:
    """The cash that trades of a user received, and what the positions say of it.

    `pending` are trades that the positions do not contain yet, each with its sequence.
    """

    __slots__ = ("by_positions", "by_trades", "last_event", "pending")

    def __init__(self) -> None:
        self.by_trades = 0
        self.by_positions: dict[str, int] = {}
        self.pending: deque[tuple[int, int]] = deque()
        self.last_event: RecordedEvent | None = None


class AccountInvariants:
    """Checks the cash of every account, unless the log does not reach back to all trades."""

    def __init__(self, findings: Findings, *, has_full_history: bool) -> None:
        self._findings = findings
        self._has_full_history = has_full_history
        self._by_user: defaultdict[str, _CashFlows] = defaultdict(_CashFlows)

    def apply(self, recorded: RecordedEvent, event: Event) -> None:
        """Add an event of trades or positions; others change nothing."""
        if not (self._has_full_history and isinstance(event, _TRADES | PositionEvent)):
            return
        flows = self._by_user[recorded.event_subject.owner]
        try:
            if isinstance(event, _TRADES):
                flows.pending.append((recorded.sequence, _received(event)))
                return
            position = event.position
            flows.by_positions[position.symbol] = to_units(
                position.realized_pnl, COST_PLACES
            ) - to_units(position.cost_basis, COST_PLACES)
        except UnrepresentableAmount:
            return  # the invariants of positions report it
        while flows.pending and flows.pending[0][0] <= event.trade_sequence:
            flows.by_trades += flows.pending.popleft()[1]
        flows.last_event = recorded

    def finish(self) -> None:
        """Compare the cash of all users at the end of the log."""
        self._findings.entity_counts["accounts"] += len(self._by_user)
        for flows in self._by_user.values():
            if flows.last_event is not None:
                self._findings.compare(
                    flows.last_event,
                    "the cash of all positions",
                    from_units(sum(flows.by_positions.values()), COST_PLACES),
                    from_units(flows.by_trades, COST_PLACES),
                )


def _received(trade: TradeExecuted | TradeCorrected) -> int:
    """What a sale brought or, below 0, a purchase cost, less the fee; of a correction, the
    difference to what the trade counted as before."""
    terms = ExecutionTerms(qty=trade.qty, price=trade.price, fee=trade.fee)
    received = _received_by(trade.side, terms)
    if isinstance(trade, TradeCorrected):
        received -= _received_by(trade.side, trade.before)
    return received


def _received_by(side: Side, terms: ExecutionTerms) -> int:
    amount = to_units(terms.qty, QTY_PLACES) * to_units(terms.price, PRICE_PLACES)
    fee = to_units(terms.fee, PRICE_PLACES) * _FEE_FACTOR
    return (amount if side is Side.SELL else -amount) - fee
