"""Invalid settings are rejected with the path of the field, as JSON spells it."""

from decimal import Decimal
from typing import Any

import pytest

from tapewire.events import Breakout, MeanReversion, MovingAverageCrossover, StrategyRule
from tapewire.log import CommandRejected
from tapewire.values.symbols import SYMBOL_REQUIREMENT
from tapewire_services.strategies.domain.commands import MAX_WINDOW_PRICES, validate_settings
from tests.unit.strategies.spec import make_settings, make_stop_loss

D = Decimal


def crossover(fast: int, slow: int) -> StrategyRule:
    return MovingAverageCrossover(fast=fast, slow=slow)


def breakout(window: int, margin: str = "0") -> StrategyRule:
    return Breakout(window=window, margin_percent=D(margin))


def reversion(window: int, deviations: str = "2") -> StrategyRule:
    return MeanReversion(window=window, deviations=D(deviations))


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("symbol", {"symbol": ""}),
        ("symbol", {"symbol": "S" * 65}),
        ("symbol", {"symbol": "IBM\n"}),
        ("symbol", {"symbol": "ÏBM"}),
        ("name", {"name": ""}),
        ("name", {"name": "n" * 101}),
        ("name", {"name": "a\0b"}),
        ("name", {"name": "a\ud800b"}),
        ("quantity", {"quantity": "0"}),
        ("quantity", {"quantity": "-1"}),
        ("quantity", {"quantity": "NaN"}),
        ("quantity", {"quantity": "Infinity"}),
        ("quantity", {"quantity": "1e999999"}),
        ("quantity", {"quantity": "1000000.000001"}),
        ("quantity", {"quantity": "0.0000001"}),
        ("maxTrades", {"max_trades": 0}),
        ("maxTrades", {"max_trades": -1}),
        ("maxTrades", {"max_trades": 10**30}),
        ("rule.fast", {"rule": crossover(0, 5)}),
        ("rule.fast", {"rule": crossover(MAX_WINDOW_PRICES, MAX_WINDOW_PRICES)}),
        ("rule.slow", {"rule": crossover(5, 5)}),
        ("rule.slow", {"rule": crossover(5, MAX_WINDOW_PRICES + 1)}),
        ("rule.window", {"rule": breakout(1)}),
        ("rule.window", {"rule": breakout(MAX_WINDOW_PRICES + 1)}),
        ("rule.marginPercent", {"rule": breakout(5, "-0.1")}),
        ("rule.marginPercent", {"rule": breakout(5, "50.1")}),
        ("rule.marginPercent", {"rule": breakout(5, "0.00001")}),
        ("rule.marginPercent", {"rule": breakout(5, "sNaN")}),
        ("rule.window", {"rule": reversion(1)}),
        ("rule.deviations", {"rule": reversion(5, "0")}),
        ("rule.deviations", {"rule": reversion(5, "10.0001")}),
        ("rule.deviations", {"rule": reversion(5, "1e-999999")}),
        ("stopLoss.percent", {"stop_loss": make_stop_loss("0")}),
        ("stopLoss.percent", {"stop_loss": make_stop_loss("100")}),
        ("stopLoss.percent", {"stop_loss": make_stop_loss("-5")}),
        ("stopLoss.percent", {"stop_loss": make_stop_loss("0.00001")}),
    ],
)
def test_bad_fields_are_named(path: str, changes: dict[str, Any]) -> None:
    with pytest.raises(CommandRejected) as refused:
        validate_settings(make_settings(**changes))
    assert (refused.value.code, refused.value.path) == ("invalid", path)
    assert refused.value.message.startswith(path)
    assert len(refused.value.message) < 130


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbol": "IBM\n"}, rf"symbol {SYMBOL_REQUIREMENT}, not 'IBM\n'"),
        ({"symbol": "A,B"}, f"symbol {SYMBOL_REQUIREMENT}, not 'A,B'"),
        ({"name": "a\0b"}, r"name must be printable, not 'a\x00b'"),
        ({"max_trades": 0}, "maxTrades must be 1 to 1000000, not 0"),
    ],
)
def test_message_names_field_bound_and_value(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandRejected) as refused:
        validate_settings(make_settings(**changes))
    assert refused.value.message == message


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": crossover(1, 2)},
        {"rule": crossover(MAX_WINDOW_PRICES - 1, MAX_WINDOW_PRICES)},
        {"rule": breakout(2, "50")},
        {"rule": reversion(MAX_WINDOW_PRICES, "0.0001")},
        {"stop_loss": make_stop_loss("99.9999")},
        {"max_trades": 1},
        {"quantity": "0.000001"},
        {"name": "“Größe” ☂"},
    ],
)
def test_values_at_the_limits_are_accepted(changes: dict[str, Any]) -> None:
    assert validate_settings(make_settings(**changes))


def test_numbers_are_normalized() -> None:
    found = validate_settings(
        make_settings(quantity="1E+3", rule=breakout(5, "0.50"), stop_loss=make_stop_loss("1.10"))
    )
    assert str(found.quantity) == "1000"
    assert isinstance(found.rule, Breakout)
    assert str(found.rule.margin_percent) == "0.5"
    assert found.stop_loss is not None
    assert str(found.stop_loss.percent) == "1.1"
