"""Nothing is lost, doubled or reordered, whatever is killed and stopped while orders flow."""

import pytest

from tests.faults.conftest import IS_SHORT, Trial
from tests.faults.plan import Fault
from tests.faults.plants import PLANTS, alone
from tests.faults.verdict import judge
from tests.history import Connect

WRONGS_SHOWN = 20


@pytest.mark.parametrize("workers", [1] if IS_SHORT else [1, 2])
def test_every_client_sees_exactly_what_the_log_holds(trial: Trial, workers: int) -> None:
    outcome = trial(workers)
    wrong = judge(outcome.recording)
    assert not wrong, f"{outcome}\n{len(wrong)} wrong:\n" + "\n".join(wrong[:WRONGS_SHOWN])


def test_the_trial_was_one(trial: Trial) -> None:
    """All that was asked for was done, and every way in was used."""
    outcome = trial(1)
    assert len(outcome.recording.placed) == outcome.plan.size.orders
    assert all(outcome.struck[fault] >= outcome.plan.size.rounds for fault in Fault)
    entries = [entry for one in outcome.recording.watched for entry in one.history]
    connects = [entry for entry in entries if isinstance(entry, Connect)]
    assert {connect.via for connect in connects} == {
        "anew",
        "Last-Event-ID",
        "lastEventId",
        "last_event_id",
    }
    assert outcome.again["503"], "nobody was ever told to come back"
    assert any(one.canceled == 200 for one in outcome.recording.placed)
    assert outcome.recording.lists


def test_what_was_recorded_is_right_before_anything_is_planted(trial: Trial) -> None:
    assert not judge(alone(trial(1).recording))


@pytest.mark.parametrize("name", PLANTS)
def test_the_verdict_finds(trial: Trial, name: str) -> None:
    plant, said = PLANTS[name]
    wrong = judge(plant(trial(1).recording))
    assert any(said in what for what in wrong), wrong[:WRONGS_SHOWN]
