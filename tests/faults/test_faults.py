"""No event is lost, repeated or reordered when servers are killed and stopped while orders flow."""

import pytest

from tests.faults.conftest import IS_SHORT, FaultTrialRunner
from tests.faults.plan import Fault
from tests.faults.planted_violations import PLANTED_VIOLATIONS, with_one_watcher
from tests.harness.history import StreamOpened
from tests.harness.order_trial.checks import find_violations

MAX_REPORTED_VIOLATIONS = 20


@pytest.mark.parametrize("workers", [1] if IS_SHORT else [1, 2])
def test_every_client_sees_exactly_what_the_log_holds(
    run_trial_once: FaultTrialRunner, workers: int
) -> None:
    outcome = run_trial_once(workers)
    wrong = find_violations(outcome.trial.recording)
    assert not wrong, f"{outcome}\n{len(wrong)} wrong:\n" + "\n".join(
        wrong[:MAX_REPORTED_VIOLATIONS]
    )


def test_trial_injected_all_faults_and_used_every_resume_method(
    run_trial_once: FaultTrialRunner,
) -> None:
    """Every planned fault was injected, and every way to resume was used."""
    outcome = run_trial_once(1)
    assert len(outcome.trial.recording.placed) == outcome.plan.size.order_count
    assert all(outcome.fault_counts[fault] >= outcome.plan.size.fault_rounds for fault in Fault)
    entries = [entry for one in outcome.trial.recording.watched for entry in one.history]
    connects = [entry for entry in entries if isinstance(entry, StreamOpened)]
    assert {connect.via for connect in connects} == {
        "anew",
        "Last-Event-ID",
        "lastEventId",
        "last_event_id",
    }
    assert outcome.trial.retry_counts["503"], "no client received 503 with Retry-After"
    assert any(one.cancel_status == 200 for one in outcome.trial.recording.placed)
    assert outcome.trial.recording.lists


def test_unchanged_recording_has_no_violations(
    run_trial_once: FaultTrialRunner,
) -> None:
    assert not find_violations(with_one_watcher(run_trial_once(1).trial.recording))


@pytest.mark.parametrize("name", PLANTED_VIOLATIONS)
def test_checks_report_a_planted_violation(run_trial_once: FaultTrialRunner, name: str) -> None:
    plant, expected = PLANTED_VIOLATIONS[name]
    wrong = find_violations(plant(run_trial_once(1).trial.recording))
    assert any(expected in what for what in wrong), wrong[:MAX_REPORTED_VIOLATIONS]
