"""Which declined decisions are published."""

from tapewire.events import Action
from tapewire_services.strategies.domain.decision_throttling import (
    PublishedDecision,
    should_publish,
)
from tests.unit.strategies.spec import at

HOLD, BUY = Action.HOLD, Action.BUY


def test_the_first_decision_is_published() -> None:
    assert should_publish(None, HOLD, at(0))


def test_holds_are_published_every_30_seconds_and_declined_signals_every_5() -> None:
    assert not should_publish(PublishedDecision(HOLD, at(0)), HOLD, at(29.9))
    assert should_publish(PublishedDecision(HOLD, at(0)), HOLD, at(30))
    assert not should_publish(PublishedDecision(BUY, at(0)), BUY, at(4.9))
    assert should_publish(PublishedDecision(BUY, at(0)), BUY, at(5))


def test_another_action_is_published_after_a_second() -> None:
    assert not should_publish(PublishedDecision(HOLD, at(0)), BUY, at(0.9))
    assert should_publish(PublishedDecision(HOLD, at(0)), BUY, at(1))
    assert should_publish(PublishedDecision(BUY, at(0)), HOLD, at(1))


def test_alternating_actions_are_published_at_most_once_a_second() -> None:
    published, count = None, 0
    for tick in range(1000):
        action = BUY if tick % 2 else HOLD
        if should_publish(published, action, at(tick / 100)):
            published, count = PublishedDecision(action, at(tick / 100)), count + 1
    assert count <= 11
