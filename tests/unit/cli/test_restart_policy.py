"""The restart delays of processes, and the description of their exits."""

import pytest

from tapewire.cli.up.child_process import describe_exit
from tapewire.cli.up.supervisor import RestartPolicy


def delays(pace: RestartPolicy, *ran: float) -> list[float]:
    found, delay = [], 0.0
    for seconds in ran:
        delay = pace.next_delay_seconds(delay, seconds)
        found.append(delay)
    return found


def test_the_delay_doubles_up_to_its_limit() -> None:
    assert delays(RestartPolicy(), *[0.0] * 8) == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_long_run_resets_the_delay() -> None:
    assert delays(RestartPolicy(), 0, 0, 0, 30, 0) == [0.25, 0.5, 1.0, 0.25, 0.5]


def test_a_slightly_shorter_run_does_not_reset_the_delay() -> None:
    assert delays(RestartPolicy(), 0, 29.9) == [0.25, 0.5]


@pytest.mark.parametrize(
    ("code", "description"),
    [
        (0, "exited with code 0"),
        (3, "exited with code 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-250, "was killed by signal 250"),
    ],
)
def test_an_exit_is_described_by_its_code_or_signal(code: int, description: str) -> None:
    assert describe_exit(code) == description
