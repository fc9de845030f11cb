"""Writes the checkpoints that the services' event consumers have once they have handled a log.

A journal that a test writes without services can then be archived as one that services have read.
"""

from collections.abc import Callable

from tapewire.cli.verify import load_subscription_filters
from tapewire.events import PositionEvent
from tapewire.log import EventLog, LatestValueStore, RecordedEvent, Versioned, pattern
from tapewire.log.checkpoint import shared_checkpoint_key, write_checkpoint
from tapewire.log.page_reader import read_pages
from tapewire_services.alerts import armed_rule_index
from tapewire_services.alerts.domain.armed_rules import ArmedRulesProjection
from tapewire_services.orders import broker_runner
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.positions import trade_consumer
from tapewire_services.positions.domain.position import PositionKey, TradedState
from tapewire_services.positions.position_repository import PositionRepository
from tapewire_services.strategies import runner
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies


async def write_consumer_checkpoints(log: EventLog, checkpoint_store: LatestValueStore) -> None:
    """Write a checkpoint of every catch-up subscription that covers the whole log."""
    orders, strategies, rules = OpenOrders(), ActiveStrategies(), ArmedRulesProjection()
    folds: dict[str, Callable[[RecordedEvent], object]] = {
        "orders": orders.apply,
        "strategies": strategies.apply,
        "rules": rules.apply,
    }
    positions = PositionRepository(log)
    bounds = await log.bounds()
    async for recorded in (
        one async for page in read_pages(log, pattern(), after=0, up_to=bounds.last) for one in page
    ):
        event, subject = recorded.event, recorded.event_subject
        if subject.domain in folds:
            folds[subject.domain](recorded)
        elif isinstance(event, PositionEvent):
            traded = TradedState(event.position, event.trade_sequence)
            key = PositionKey(subject.owner, event.position.symbol)
            positions.cache_position(key, Versioned(traded, recorded.sequence))
    # Serializing needs no valuer.
    trades = trade_consumer.TradeConsumer(positions, None)  # type: ignore[arg-type]
    states = {
        broker_runner.CHECKPOINT_NAME: orders.encode(),
        runner.LEASE_NAME: strategies.encode(),
        armed_rule_index.CHECKPOINT_NAME: rules.serialize_state(),
        trade_consumer.CHECKPOINT_NAME: trades.serialize_state(),
    }
    bounds = await log.bounds()
    for name in load_subscription_filters():
        await write_checkpoint(
            checkpoint_store,
            shared_checkpoint_key(name),
            epoch=bounds.epoch,
            as_of=bounds.last,
            state=states.get(name, b"null"),
        )
