"""The invariants of splits, and of what they make of orders, strategies and rules.

A split is numbered without gaps within its symbol, and stored once in each domain. Whatever has the
symbol gets the terms of the new shares once for each split. Start at `SplitInvariants`.
"""

from tapewire.events import (
    AlertRule,
    Order,
    OrderSplit,
    RuleSplit,
    SplitExecuted,
    Strategy,
    StrategySplit,
)
from tapewire.log import RecordedEvent
from tapewire.verify.findings import Findings
from tapewire.verify.reference_index import ReferenceIndex
from tapewire.verify.split_amounts import split_price, split_qty

ORDER_QTY_PLACES = 6
HELD_QTY_PLACES = 9


class SplitInvariants:
    """Checks splits, and knows those before an event."""

    def __init__(
        self, findings: Findings, unique_facts: ReferenceIndex, *, has_full_history: bool
    ) -> None:
        self._findings = findings
        self._unique_facts = unique_facts
        self._has_full_history = has_full_history
        self._by_id: dict[str, SplitExecuted] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def check_split(self, recorded: RecordedEvent, split: SplitExecuted) -> None:
        """Check a split in one of its domains."""
        subject = recorded.event_subject
        self._findings.compare(recorded, "symbol", split.symbol, subject.entity)
        self._unique_facts.define(f"split {subject.domain} {split.split_id}", recorded.sequence)
        key = (subject.domain, split.symbol)
        if self._has_full_history or key in self._counts:
            expected = self._counts.get(key, 0) + 1
            self._findings.compare(recorded, "number", split.number, expected)
        self._counts[key] = split.number
        known = self._by_id.setdefault(split.split_id, split)
        self._findings.compare(recorded, "the split", split, known)

    def check_order(self, recorded: RecordedEvent, event: OrderSplit, before: Order) -> None:
        """Check the terms of an order after a split."""
        split = self._find(recorded, event.split_id)
        if split is None:
            return
        order, ratio = event.order, split.ratio
        asked, was_asked = order.replacement, before.replacement
        pairs = [
            ("splits", order.splits, split.number),
            ("qty", order.qty, split_qty(before.qty, ratio, ORDER_QTY_PLACES)),
            ("filledQty", order.filled_qty, split_qty(before.filled_qty, ratio, ORDER_QTY_PLACES)),
            ("limitPrice", order.limit_price, split_price(before.limit_price, ratio)),
            ("stopPrice", order.stop_price, split_price(before.stop_price, ratio)),
            ("having a replacement", asked is None, was_asked is None),
        ]
        if asked is not None and was_asked is not None:
            wanted = split_qty(was_asked.qty, ratio, ORDER_QTY_PLACES)
            pairs.append(("qty of the replacement", asked.qty, wanted))
        for name, found, expected in pairs:
            self._findings.compare(recorded, name, found, expected)

    def check_strategy(
        self, recorded: RecordedEvent, event: StrategySplit, before: Strategy
    ) -> None:
        """Check a strategy after a split."""
        split = self._find(recorded, event.split_id)
        if split is None:
            return
        self._unique_facts.define(
            f"split of {recorded.subject} by {split.split_id}", recorded.sequence
        )
        now, ratio = event.strategy, split.ratio
        position = split_qty(before.position, ratio, HELD_QTY_PLACES)
        self._findings.compare(recorded, "ratio", event.ratio, ratio)
        self._findings.compare(recorded, "position", now.position, position)
        qty = None if before.order is None else before.order.qty
        found = None if now.order is None else now.order.qty
        expected = None if qty is None else split_qty(qty, ratio, ORDER_QTY_PLACES)
        self._findings.compare(recorded, "qty of the order", found, expected)

    def check_rule(self, recorded: RecordedEvent, event: RuleSplit, before: AlertRule) -> None:
        """Check a rule after a split, whose number is in the command's id."""
        self._unique_facts.define(f"rule split by {event.command_id}", recorded.sequence)
        ratios = [one.ratio for one in self._by_id.values() if one.symbol == before.symbol]
        prices = [split_price(before.price, ratio) for ratio in ratios]
        if self._has_full_history and event.rule.price not in prices:
            self._findings.report_event(recorded, f"no split makes {event.rule.price} of the price")

    def _find(self, recorded: RecordedEvent, split_id: str) -> SplitExecuted | None:
        split = self._by_id.get(split_id)
        if split is None and self._has_full_history:
            self._findings.report_event(recorded, f"there is no split {split_id}")
        return split
