"""Which strategies are active, and that resuming from a checkpoint changes nothing."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import CATALOGUE, CODEC, Action, DecisionMade, Event
from tapewire.log import EventMetadata, EventSubject, RecordedEvent
from tapewire.log.checkpoint import Checkpoint, encode_checkpoint
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies, TrackedStrategy
from tapewire_services.strategies.domain.commands import Command
from tests.harness.erasures import recorded_erasure
from tests.unit.strategies.spec import (
    STRATEGY_ID,
    USER,
    StrategyHistory,
    at,
    buy,
    create,
    fill,
    sell,
    start,
    stop,
)


def make_recorded_event(sequence: int, event: Event, domain: str = "strategies") -> RecordedEvent:
    return RecordedEvent(
        sequence=sequence,
        subject=str(EventSubject(USER, domain, STRATEGY_ID)),
        tag=CATALOGUE.tag_of(type(event)),
        data=CODEC.encode(event),
        metadata=EventMetadata(id=str(sequence), correlation=f"c{sequence}"),
        time=datetime(2026, 1, 1, tzinfo=UTC),
    )


def record_commands(*commands: Command) -> list[RecordedEvent]:
    events = [
        one for one in StrategyHistory(commands).new_events if one.subject.domain == "strategies"
    ]
    return [make_recorded_event(number, one.event) for number, one in enumerate(events, start=1)]


def apply_events(active: ActiveStrategies, events: list[RecordedEvent]) -> ActiveStrategies:
    for event in events:
        active.apply(event)
    return active


FULL_HISTORY = (
    create(),
    start(),
    buy(),
    fill("1", "40"),
    fill("1", "100"),
    sell(order_count=1),
    fill("2", "100"),
    sell("99", order_count=2),
    stop(),
    fill("3", "60"),
    fill("3", "100"),
)


def test_strategies_that_are_started_or_have_a_pending_order_are_active() -> None:
    assert not apply_events(ActiveStrategies(), record_commands(*FULL_HISTORY[:1])).get_all()
    assert apply_events(ActiveStrategies(), record_commands(*FULL_HISTORY[:2])).get_all()
    assert apply_events(ActiveStrategies(), record_commands(*FULL_HISTORY[:9])).get_all(), (
        "the strategy stopped with a pending order"
    )
    assert apply_events(ActiveStrategies(), record_commands(*FULL_HISTORY[:10])).get_all()
    assert not apply_events(ActiveStrategies(), record_commands(*FULL_HISTORY)).get_all()


def test_every_start_and_every_holding_has_a_since_of_its_own() -> None:
    active, since = ActiveStrategies(), []
    for event in record_commands(*FULL_HISTORY[:8]):
        member = active.apply(event)
        assert member is not None
        since.append(member.position_since)
    #        created start buy 40 100 sell 100 sell
    assert since == [1, 2, 2, 4, 4, 4, 7, 7]


def test_other_events_change_nothing() -> None:
    active = apply_events(ActiveStrategies(), record_commands(*FULL_HISTORY[:3]))
    before = active.get_all()
    decision = DecisionMade(
        decision_id="d",
        strategy_id=STRATEGY_ID,
        symbol="IBM",
        action=Action.HOLD,
        confidence=Decimal(0),
        reasoning="",
        taken=False,
        timestamp=at(0),
    )
    assert active.apply(make_recorded_event(9, decision, "decisions")) is None
    assert active.get_all() == before


@examples(st.integers(0, len(FULL_HISTORY)))
def test_resuming_from_a_checkpoint_changes_nothing(point: int) -> None:
    events = record_commands(*FULL_HISTORY)
    resumed = ActiveStrategies.decode(apply_events(ActiveStrategies(), events[:point]).encode())
    straight = apply_events(ActiveStrategies(), events[:point])
    for event in events[point:]:
        assert resumed.apply(event) == straight.apply(event)
    assert resumed.get_all() == straight.get_all()


@pytest.mark.parametrize("data", [b"", b"{}", b'"%%%"', b'"aGVsbG8="', b'"eJyrrgUAAXUA+Q=="'])
def test_invalid_checkpoints_are_rejected(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them is as good as none
        ActiveStrategies.decode(data)


def test_a_checkpoint_is_small() -> None:
    """A stored value has at most a megabyte; 10,000 active strategies must fit."""
    [member] = apply_events(ActiveStrategies(), record_commands(*FULL_HISTORY[:5])).get_all()
    many = []
    for number in range(10_000):
        id_ = f"{number * 7919:016x}"
        strategy = msgspec.structs.replace(member.strategy, strategy_id=id_)
        many.append(
            TrackedStrategy(
                user=f"user-{number % 500}",
                strategy=strategy,
                sequence=number * 17,
                position_since=number * 13,
                rule_since=number * 11,
                correlation=f"{id_}-{1_381_152_603_000_000 + number * 977}",
            )
        )
    state = msgspec.Raw(ActiveStrategies(many).encode())
    assert len(encode_checkpoint(Checkpoint(epoch="e", as_of=1, state=state))) < 1_000_000


@pytest.mark.parametrize("commands", [(create(), start()), (create(), start(), buy())])
def test_the_strategies_of_an_erased_user_are_forgotten(commands: tuple[Command, ...]) -> None:
    active = apply_events(ActiveStrategies(), record_commands(*commands))
    assert len(active.get_all()) == 1
    active.apply(recorded_erasure(USER, 1000, "strategies"))
    assert active.encode() == ActiveStrategies().encode()


def test_what_follows_of_a_forgotten_strategy_does_not_bring_it_back() -> None:
    """Another worker's command, a fill of its order, or a request was in progress."""
    events = record_commands(create(), start(), buy())
    active = apply_events(ActiveStrategies(), events[:2])
    active.apply(recorded_erasure(USER, 1000, "strategies"))
    apply_events(active, events[2:])
    assert active.get_all() == []
    apply_events(active, events)
    assert len(active.get_all()) == 1


def test_the_erasure_of_another_user_changes_nothing() -> None:
    active = apply_events(ActiveStrategies(), record_commands(create(), start()))
    before = active.encode()
    active.apply(recorded_erasure("somebody-else", 1000, "strategies"))
    assert active.encode() == before
