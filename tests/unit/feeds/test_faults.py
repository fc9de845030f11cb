"""The counter of faults stays small and readable, whatever a feed records."""

import pytest
import structlog
from structlog.testing import capture_logs

from tapewire.feeds.faults import MAX_PROBLEM_CHARACTERS, MAX_REASONS, FaultLog


def test_the_number_of_reasons_is_limited() -> None:
    faults = FaultLog(structlog.get_logger())
    for _ in range(2):
        for number in range(MAX_REASONS + 20):
            faults.record(f"reason_{number}", "what it was")
    assert len(faults.counts) == MAX_REASONS + 1
    assert (faults.counts["reason_0"], faults.counts["other"]) == (2, 40)


@pytest.mark.parametrize("reason", ["", "No JSON", 'x"} 1', "naïve", "x" * 41, "1st", "a\n"])
def test_a_reason_that_is_no_word_counts_as_other(reason: str) -> None:
    """It is the label of a metric."""
    faults = FaultLog(structlog.get_logger())
    faults.record(reason, "what it was")
    assert faults.counts == {"other": 1}


def test_only_the_first_fault_of_a_reason_is_logged_with_a_bounded_text() -> None:
    with capture_logs() as logged:
        faults = FaultLog(structlog.get_logger())
        for _ in range(100):
            faults.record("not_json", "x" * 100_000)
    assert logged == [
        {
            "event": "feed.fault",
            "log_level": "warning",
            "fault": "not_json",
            "reason": "x" * MAX_PROBLEM_CHARACTERS,
        }
    ]
