"""The delays before `tail` reconnects."""

from datetime import UTC, datetime

import pytest

from tapewire.cli.tail import reconnect_delay

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_after_a_clean_end_the_delay_is_the_servers_retry() -> None:
    assert reconnect_delay.delay_after_end(5.0) == 5.0


@pytest.mark.parametrize(("retry", "wait"), [(0.0, 0.1), (1e9, 600.0)])
def test_an_extreme_retry_is_limited_to_the_bounds(retry: float, wait: float) -> None:
    assert reconnect_delay.delay_after_end(retry) == wait


def test_failures_double_the_delay_up_to_a_limit() -> None:
    waits = [reconnect_delay.delay_after_failure(n, 5.0, 0.0, 0.0) for n in range(1, 8)]
    assert waits == [1, 2, 4, 8, 16, 20, 20]


def test_a_short_retry_shortens_the_first_delay() -> None:
    assert reconnect_delay.delay_after_failure(1, 0.1, 0.0, 0.0) == 0.1


def test_jitter_only_adds() -> None:
    assert reconnect_delay.delay_after_failure(1, 5.0, 0.0, 0.999) == pytest.approx(1.4995)


def test_the_delay_is_limited_for_any_number_of_failures() -> None:
    assert reconnect_delay.delay_after_failure(10_000, 5.0, 0.0, 0.0) == 20.0


def test_the_delay_is_at_least_retry_after() -> None:
    assert reconnect_delay.delay_after_failure(1, 5.0, 30.0, 0.0) == 30.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0),
        ("Fri, 02 Jan 2026 03:04:00 GMT", 0.0),
        ("99999999", 600.0),
        ("-1", 0.0),
        ("soon", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float) -> None:
    assert reconnect_delay.parse_retry_after(header, NOW) == seconds
