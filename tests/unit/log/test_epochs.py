"""Epochs that continue each other: which positions of an earlier epoch a journal still includes."""

import msgspec
import pytest

from tapewire.log import Bounds
from tapewire.log.checkpoint import Checkpoint
from tapewire_services.edge.delivery.cursor import (
    FreshStart,
    ResetReason,
    ResetStart,
    ResumeStart,
    decide_start,
)

BOUNDS = Bounds("e3", 1, 30, (("e1", 10), ("e2", 20)))


@pytest.mark.parametrize(
    ("epoch", "sequence", "included"),
    [
        ("e3", 30, True),
        ("e3", 31, False),
        ("e1", 10, True),
        ("e1", 11, False),
        ("e2", 15, True),
        ("e2", 21, False),
        ("e0", 0, False),
        ("", 0, False),
    ],
)
def test_a_position_is_included_up_to_the_end_of_its_epoch(
    epoch: str, sequence: int, included: bool
) -> None:
    assert BOUNDS.includes(epoch, sequence) is included
    checkpoint = Checkpoint(epoch=epoch, as_of=sequence, state=msgspec.Raw(b"null"))
    assert checkpoint.is_usable(BOUNDS) is included


@pytest.mark.parametrize(
    ("last_event_id", "start"),
    [
        ("", FreshStart()),
        ("e1-7", ResumeStart(7)),
        ("e2-20", ResumeStart(20)),
        ("e3-21", ResumeStart(21)),
        ("e1-11", ResetStart(ResetReason.EPOCH, "e1-11")),
        ("e3-31", ResetStart(ResetReason.AHEAD, "e3-31")),
        ("e9-1", ResetStart(ResetReason.EPOCH, "e9-1")),
    ],
)
def test_an_id_of_an_earlier_epoch_resumes_unless_it_is_of_a_lost_event(
    last_event_id: str, start: object
) -> None:
    assert decide_start(last_event_id, BOUNDS) == start


def test_an_id_of_an_earlier_epoch_that_was_trimmed_is_reset_as_trimmed() -> None:
    trimmed = msgspec.structs.replace(BOUNDS, first=9)
    assert decide_start("e1-7", trimmed) == ResetStart(ResetReason.TRIMMED, "e1-7")
