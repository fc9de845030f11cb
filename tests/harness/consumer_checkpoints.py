"""Writes the checkpoints that the services' event consumers have once they have handled a log.

A journal that a test writes without services can then be archived as one that services have read.
"""

from collections.abc import AsyncIterator
from typing import Any

from tapewire.cli.verify import load_subscription_filters
from tapewire.events import PositionEvent
from tapewire.log import EventLog, LatestValueStore, RecordedEvent, Versioned, pattern
from tapewire.log.checkpoint import shared_checkpoint_key, write_checkpoint
from tapewire.log.ports import CATCH_UP_PAGE_BYTES, CATCH_UP_PAGE_EVENTS
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
    states = {
        broker_runner.CHECKPOINT_NAME: await _fold(log, "orders", OpenOrders()),
        runner.LEASE_NAME: await _fold(log, "strategies", ActiveStrategies()),
        armed_rule_index.CHECKPOINT_NAME: await _fold(log, "rules", ArmedRulesProjection()),
        trade_consumer.CHECKPOINT_NAME: await _serialize_positions(log),
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


async def _fold(log: EventLog, domain: str, projection: Any) -> bytes:
    async for recorded in _read(log, domain):
        projection.apply(recorded)
    encode = getattr(projection, "encode", None) or projection.serialize_state
    state: bytes = encode()
    return state


async def _read(log: EventLog, domain: str) -> AsyncIterator[RecordedEvent]:
    after, more = 0, True
    while more:
        page = await log.page(
            pattern(domain=domain),
            after=after,
            limit=CATCH_UP_PAGE_EVENTS,
            max_bytes=CATCH_UP_PAGE_BYTES,
        )
        for recorded in page.events:
            yield recorded
            after = recorded.sequence
        more = page.has_more


async def _serialize_positions(log: EventLog) -> bytes:
    repository = PositionRepository(log)
    async for recorded in _read(log, "positions"):
        event = recorded.event
        assert isinstance(event, PositionEvent)
        repository.cache_position(
            PositionKey(recorded.event_subject.owner, event.position.symbol),
            Versioned(TradedState(event.position, event.trade_sequence), recorded.sequence),
        )
    # Serializing needs no valuer.
    return trade_consumer.TradeConsumer(repository, None).serialize_state()  # type: ignore[arg-type]
