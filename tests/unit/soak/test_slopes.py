"""The judge of the soak: what grows is steep, what only was filled once or flutters is not."""

import random

import pytest

from tests.soak.slopes import fit_slope, format_slopes

AT = range(20_000, 220_000, 5000)


def test_growth_is_per_10_000_connects() -> None:
    found = fit_slope("memory", AT, [100 + at / 1000 for at in AT], 9.0)
    assert found.growth_per_unit == pytest.approx(10.0)
    assert found.standard_error == pytest.approx(0.0, abs=1e-6)
    assert found.is_too_steep
    assert not fit_slope("memory", AT, [100 + at / 1000 for at in AT], 11.0).is_too_steep


def test_one_thing_left_over_is_steep_where_nothing_may_be() -> None:
    values = [7.0 if at < 150_000 else 8.0 for at in AT]
    assert fit_slope("descriptors", AT, values, 0).is_too_steep
    assert not fit_slope("descriptors", AT, [7.0] * len(AT), 0).is_too_steep
    assert not fit_slope(
        "descriptors", AT, [8.0 if at < 30_000 else 7.0 for at in AT], 0
    ).is_too_steep


def test_what_comes_first_does_not_count() -> None:
    values = [min(at, 80_000) for at in AT]
    assert fit_slope("memory", AT, values, 1.0).growth_per_unit == pytest.approx(0.0, abs=1e-6)


def test_chance_is_not_growth() -> None:
    rng = random.Random(5)
    for _ in range(50):
        values = [100_000 + rng.gauss(0, 300) for _ in AT]
        assert not fit_slope("memory", AT, values, 512).is_too_steep


def test_a_leak_is_found_under_the_same_chance() -> None:
    """100 bytes a connect are 977 KiB per 10,000."""
    rng = random.Random(5)
    for _ in range(50):
        values = [100_000 + at * 100 / 1024 + rng.gauss(0, 300) for at in AT]
        assert fit_slope("memory", AT, values, 512).is_too_steep


def test_the_table_says_it() -> None:
    lines = format_slopes([fit_slope("tasks", AT, [26] * len(AT), 0)])
    assert lines[-1] == "| tasks | 26 | 26 | +0.00 ± 0.00 | 0 |"
