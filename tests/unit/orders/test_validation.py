"""Which orders may be placed. Absurd numbers are rejected quickly."""

import time
from decimal import Decimal

import msgspec
import pytest

from tapewire.events import OrderType
from tests.harness.order_builders import given, place

QUICK_SECONDS = 0.5


@pytest.mark.parametrize("qty", ["0.000001", "1", "999999.999999", "1000000", "1E+6", "1.0000000"])
def test_valid_quantities(qty: str) -> None:
    given(place(qty))


@pytest.mark.parametrize(
    ("qty", "message"),
    [
        ("0", "above 0"),
        ("-0", "above 0"),
        ("-1", "above 0"),
        ("0.0000001", "at most 6 decimal places"),
        ("1.2345678", "at most 6 decimal places"),
        ("1000000.000001", "at most 1000000"),
        ("NaN", "finite"),
        ("sNaN", "finite"),
        ("Infinity", "finite"),
        ("-Infinity", "finite"),
        ("1e999999", "at most 1000000"),
        ("-1e999999", "above 0"),
        ("1e-999999", "at most 6 decimal places"),
        ("1." + "0" * 100_000 + "1", "at most 6 decimal places"),
        ("9" * 100_000, "at most 1000000"),
    ],
)
def test_invalid_quantities(qty: str, message: str) -> None:
    command = place("1")
    command = msgspec.structs.replace(command, qty=Decimal(qty))
    began = time.process_time()
    given().when(command).then_rejected("invalid", "qty", message=message)
    assert time.process_time() - began < QUICK_SECONDS


@pytest.mark.parametrize("limit", ["0.00000001", "1000000", "12.3400", "15000000.12345678"])
def test_valid_limits(limit: str) -> None:
    given(place(limit=limit))


@pytest.mark.parametrize(
    "limit", ["0", "-1", "0.000000001", "1000000000000", "NaN", "Infinity", "1e999999", "1e-999999"]
)
def test_invalid_limits(limit: str) -> None:
    given().when(place(limit=limit)).then_rejected("invalid", "limitPrice")


def test_a_limit_order_needs_a_limit_and_a_market_order_has_none() -> None:
    without = msgspec.structs.replace(place(), type=OrderType.LIMIT)
    given().when(without).then_rejected("invalid", "limitPrice", message="needs")
    superfluous = msgspec.structs.replace(place(limit="1"), type=OrderType.MARKET)
    given().when(superfluous).then_rejected("invalid", "limitPrice", message="no limit price")


@pytest.mark.parametrize("text", ["", "x" * 65, "tab\t", "nul\0", "é", "line\n", "\u2028"])
def test_invalid_texts(text: str) -> None:
    given().when(place(client_order_id=text)).then_rejected("invalid", "clientOrderId")
    given().when(place(symbol=text)).then_rejected("invalid", "symbol")
    given().when(place(strategy_id=text)).then_rejected("invalid", "strategyId")


@pytest.mark.parametrize("text", ["x", "x" * 64, "a ~!", "BRK.B"])
def test_valid_texts(text: str) -> None:
    given(place(client_order_id=text, symbol=text, strategy_id=text))


def test_an_error_repeats_only_the_beginning_of_a_long_value() -> None:
    command = msgspec.structs.replace(place(), qty=Decimal("9" * 100_000))
    with pytest.raises(Exception, match=r"not 9{40}…$"):
        given(command)
