"""Who is at work, and that handing that on changes nothing."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from services.strategies.roster import Member, Roster
from tapewire.events import CATALOGUE, CODEC, Action, DecisionMade, Event
from tapewire.log import Meta, Recorded, Subject
from tests.unit.strategies.spec import (
    ID,
    USER,
    Given,
    at,
    buy,
    create,
    fill,
    sell,
    start,
    stop,
)


def recorded(sequence: int, event: Event, domain: str = "strategies") -> Recorded:
    return Recorded(
        sequence=sequence,
        subject=str(Subject(USER, domain, ID)),
        tag=CATALOGUE.tag(type(event)),
        data=CODEC.encode(event),
        meta=Meta(id=str(sequence), correlation=f"c{sequence}"),
        time=datetime(2026, 1, 1, tzinfo=UTC),
    )


def story(*commands: object) -> list[Recorded]:
    events = [one for one in Given(commands).happenings if one.subject.domain == "strategies"]
    return [recorded(number, one.event) for number, one in enumerate(events, start=1)]


def applied(roster: Roster, events: list[Recorded]) -> Roster:
    for event in events:
        roster.apply(event)
    return roster


WHOLE = (
    create(),
    start(),
    buy(),
    fill("1", "40"),
    fill("1", "100"),
    sell(orders=1),
    fill("2", "100"),
    sell("99", orders=2),
    stop(),
    fill("3", "60"),
    fill("3", "100"),
)


def test_those_that_are_started_or_have_an_order_under_way_are_at_work() -> None:
    assert not applied(Roster(), story(*WHOLE[:1])).members()
    assert applied(Roster(), story(*WHOLE[:2])).members()
    assert applied(Roster(), story(*WHOLE[:9])).members(), "stopped with an order under way"
    assert applied(Roster(), story(*WHOLE[:10])).members()
    assert not applied(Roster(), story(*WHOLE)).members()


def test_every_start_and_every_holding_has_a_since_of_its_own() -> None:
    roster, since = Roster(), []
    for event in story(*WHOLE[:8]):
        member = roster.apply(event)
        assert member is not None
        since.append(member.since)
    #        created start buy 40 100 sell 100 sell
    assert since == [1, 2, 2, 4, 4, 4, 7, 7]


def test_what_concerns_no_strategy_changes_nothing() -> None:
    roster = applied(Roster(), story(*WHOLE[:3]))
    before = roster.members()
    decision = DecisionMade(
        decision_id="d",
        strategy_id=ID,
        symbol="IBM",
        action=Action.HOLD,
        confidence=Decimal(0),
        reasoning="",
        taken=False,
        timestamp=at(0),
    )
    assert roster.apply(recorded(9, decision, "decisions")) is None
    assert roster.members() == before


@examples(st.integers(0, len(WHOLE)))
def test_a_checkpoint_at_any_point_changes_nothing(point: int) -> None:
    events = story(*WHOLE)
    resumed = Roster.decode(applied(Roster(), events[:point]).encode())
    straight = applied(Roster(), events[:point])
    for event in events[point:]:
        assert resumed.apply(event) == straight.apply(event)
    assert resumed.members() == straight.members()


@pytest.mark.parametrize("data", [b"", b"{}", b'"%%%"', b'"aGVsbG8="', b'"eJyrrgUAAXUA+Q=="'])
def test_what_is_no_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them is as good as none
        Roster.decode(data)


def test_a_checkpoint_is_small() -> None:
    """A value of the log's store has a megabyte; 10,000 strategies at work must fit."""
    [member] = applied(Roster(), story(*WHOLE[:5])).members()
    many = []
    for number in range(10_000):
        id_ = f"{number * 7919:016x}"
        strategy = type(member.strategy)(
            **{
                name: id_ if name == "strategy_id" else getattr(member.strategy, name)
                for name in member.strategy.__struct_fields__
            }
        )
        many.append(
            Member(
                user=f"user-{number % 500}",
                strategy=strategy,
                sequence=number * 17,
                since=number * 13,
                begun=number * 11,
                correlation=f"{id_}-{1_381_152_603_000_000 + number * 977}",
            )
        )
    assert len(Roster(many).encode()) < 1_000_000
