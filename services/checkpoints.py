"""The states that the services' event consumers checkpoint, for `tapewire verify`.

A service that checkpoints another state adds a line to `CHECKPOINT_CHECKS`. Most states are
projections, and are compared with a fold of the same events. The positions are an exception: see
`_PositionsFold`.
"""

from typing import Any

import msgspec

from tapewire.events import PositionEvent
from tapewire.log import EVERYBODY, RecordedEvent, pattern
from tapewire.log.checkpoint_checks import (
    CheckpointCheck,
    DecodedCheckpoint,
    check_projection,
    decode_state,
    to_builtins,
)
from tapewire.runtime.agents.monitor import CHECKPOINT_NAME as AGENTS_CHECKPOINT
from tapewire.runtime.agents.state import DOMAIN as AGENTS_DOMAIN
from tapewire_services.alerts import armed_rule_index, event_consumers
from tapewire_services.alerts.domain.armed_rules import ArmedRulesProjection
from tapewire_services.orders import broker_runner
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.positions import trade_consumer
from tapewire_services.strategies import runner
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies


def _compare_strategies(strategies: ActiveStrategies) -> object:
    return {str(tracked.subject): tracked for tracked in strategies.get_all()}


def _restore_rules(state: bytes) -> ArmedRulesProjection:
    rules = ArmedRulesProjection()
    rules.restore_state(state)
    return rules


def _compare_rules(rules: ArmedRulesProjection) -> object:
    armed = {f"{one.user} {one.rule.rule_id}": one for one in rules.get_all()}
    return {"asOf": rules.as_of, "armed": armed, "moving": sorted(rules.percent_move_symbols())}


def _compare_orders(orders: OpenOrders) -> object:
    consumed = {f"{one.symbol} {one.side.value}": one for one in orders.consumed_liquidity()}
    # Whether an order was late is no result of its events: the broker compares two clocks.
    orders_by_id = {
        one.order.order_id: msgspec.structs.replace(one, is_late=False) for one in orders.orders()
    }
    return {"open": orders_by_id, "taken": consumed}


class _PositionsFold:
    """Folds the position events that the rows of a checkpoint must agree with.

    A row is true for the trades up to the checkpoint's sequence, or for later ones: another process
    may have stored the positions of later trades already. So a row is compared with the position
    after the very event that it names, and must not be older than the last trade that the
    checkpoint covers. A position without a row must be closed, then or later.
    """

    def __init__(self, claim: DecodedCheckpoint) -> None:
        self._as_of = claim.as_of
        self._row_sequences = {name: row["sequence"] for name, row in claim.state.items()}
        self._open: dict[str, dict[str, Any]] = {}

    def apply(self, recorded: RecordedEvent) -> object:
        event = recorded.event
        if not isinstance(event, PositionEvent):
            return None
        name = f"{recorded.event_subject.owner} {event.position.symbol}"
        row_sequence = self._row_sequences.get(name)
        is_covered = event.trade_sequence <= self._as_of
        if is_covered or (row_sequence is not None and recorded.sequence <= row_sequence):
            self._set(name, recorded, event)
        elif row_sequence is None and not event.position.quantity:
            self._open.pop(name, None)
        return None

    def _set(self, name: str, recorded: RecordedEvent, event: PositionEvent) -> None:
        if not event.position.quantity:
            self._open.pop(name, None)
            return
        self._open[name] = {
            **msgspec.structs.asdict(event.position),
            "user": recorded.event_subject.owner,
            "trade_sequence": event.trade_sequence,
            "sequence": recorded.sequence,
        }

    def state(self) -> Any:
        return to_builtins(self._open)


def _decode_positions(data: bytes) -> DecodedCheckpoint:
    claim = decode_state(data)
    rows = trade_consumer.decode_checkpoint_rows(claim.state)
    state = {f"{row['user']} {row['symbol']}": row for row in rows}
    return msgspec.structs.replace(claim, state=to_builtins(state))


SUBSCRIPTION_FILTERS: dict[str, str] = {
    broker_runner.CHECKPOINT_NAME: broker_runner.ORDERS_FILTER,
    trade_consumer.CHECKPOINT_NAME: trade_consumer.TRADES_FILTER,
    runner.LEASE_NAME: runner.STRATEGIES_FILTER,
    runner.FILLS_CHECKPOINT_NAME: runner.ORDERS_FILTER,
    armed_rule_index.CHECKPOINT_NAME: armed_rule_index.RULES_FILTER,
    **event_consumers.RULE_TRIGGER_FILTERS,
    **event_consumers.NOTIFICATION_FILTERS,
    AGENTS_CHECKPOINT: pattern(owner=EVERYBODY, domain=AGENTS_DOMAIN),
}
"""The filter of each catch-up subscription, by the name of its checkpoint: which events it needs
that come after the checkpoint."""

CHECKPOINT_CHECKS: tuple[CheckpointCheck, ...] = (
    check_projection(
        name=broker_runner.CHECKPOINT_NAME,
        domain="orders",
        make=OpenOrders,
        restore=OpenOrders.decode,
        to_comparable=_compare_orders,
    ),
    CheckpointCheck(
        name=trade_consumer.CHECKPOINT_NAME,
        domain="positions",
        decode=_decode_positions,
        make_fold=_PositionsFold,
        sequence_of=lambda _: 0,  # the fold itself decides which events count
    ),
    check_projection(
        name=runner.LEASE_NAME,
        domain="strategies",
        make=ActiveStrategies,
        restore=ActiveStrategies.decode,
        to_comparable=_compare_strategies,
    ),
    check_projection(
        name=armed_rule_index.CHECKPOINT_NAME,
        domain="rules",
        make=ArmedRulesProjection,
        restore=_restore_rules,
        to_comparable=_compare_rules,
    ),
)
