"""The lines that `tail` prints for an event."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from tapewire.cli.tail.formatting import format_event

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2026, 1, 2, 12, 0, 0, 123_000, tzinfo=ZONE)
AT = "2026-01-02T08:30:15.250000Z"

ORDER = {
    "orderId": "o-1",
    "clientOrderId": "c-1",
    "symbol": "IBM",
    "side": "buy",
    "type": "limit",
    "qty": 100,
    "limitPrice": Decimal("187.50"),
    "status": "partially_filled",
    "filledQty": 40,
    "filledAvgPrice": Decimal("187.45"),
    "strategyId": None,
    "reason": None,
    "timestamp": AT,
}
PRICE = {
    "symbol": "SPY",
    "price": Decimal("571.30"),
    "bid": Decimal("571.29"),
    "ask": Decimal("571.31"),
    "volume": 1200,
    "change": Decimal("-0.10"),
    "changePercent": Decimal("-0.0175"),
    "timestamp": AT,
}


def format_plain(event: str, data: Any) -> list[str]:
    return [" ".join(line.plain.split()) for line in format_event(event, data, NOW)]


def styles(event: str, data: Any, text: str) -> set[str]:
    """Return the styles of `text` in the line."""
    (line,) = format_event(event, data, NOW)
    start = line.plain.index(text)
    return {str(span.style) for span in line.spans if span.start <= start < span.end}


def test_an_order_is_one_line() -> None:
    assert format_plain("order:update", ORDER) == [
        "10:30:15.250 order:update partially_filled buy 100 IBM @ 187.50 filled 40 at 187.45 o-1"
    ]


def test_the_terms_of_a_stop_are_shown() -> None:
    order = {**ORDER, "stopPrice": Decimal("180.00"), "timeInForce": "day", "reduceOnly": True}
    assert format_plain("order:update", order) == [
        (
            "10:30:15.250 order:update partially_filled buy 100 IBM @ 187.50 stop 180.00 day"
            " reduce only filled 40 at 187.45 o-1"
        )
    ]


def test_a_rejected_market_order_shows_its_reason() -> None:
    order = {**ORDER, "limitPrice": None, "filledQty": 0, "status": "rejected", "reason": "no cash"}
    assert format_plain("order:update", order) == [
        "10:30:15.250 order:update rejected buy 100 IBM market (no cash) o-1"
    ]


def test_a_fill_is_one_line() -> None:
    fill = {**ORDER, "fillQty": 40, "fillPrice": Decimal("187.45"), "tradeId": "t-1"}
    assert format_plain("order:fill", fill) == [
        "10:30:15.250 order:fill fill buy 40 IBM at 187.45 (40 of 100) o-1"
    ]


def test_a_trade_is_one_line() -> None:
    trade = {
        "tradeId": "t-1",
        "symbol": "IBM",
        "side": "sell",
        "qty": 5,
        "price": 187,
        "timestamp": AT,
    }
    assert format_plain("trade:new", trade) == [
        "10:30:15.250 trade:new trade sell 5 IBM at 187 t-1"
    ]


def test_a_price_is_one_line() -> None:
    assert format_plain("price:update", PRICE) == [
        "10:30:15.250 price:update SPY 571.30 -0.10 (-0.02 %) 571.29 / 571.31 volume 1200"
    ]


def test_sides_and_price_changes_are_coloured() -> None:
    assert styles("order:update", ORDER, "buy") == {"green"}
    assert styles("order:update", {**ORDER, "side": "sell"}, "sell") == {"red"}
    assert styles("price:update", PRICE, "571.30") == {"red"}
    assert styles("price:update", {**PRICE, "change": Decimal(1)}, "571.30") == {"green"}


def test_a_snapshot_has_a_heading_and_one_line_for_each_entity() -> None:
    data = {"snapshot": True, "orders": [ORDER, {**ORDER, "orderId": "o-2"}], "timestamp": AT}
    assert [line.partition(" ")[2] for line in format_plain("order:update", data)] == [
        "order:update snapshot: 2 orders",
        "order:update partially_filled buy 100 IBM @ 187.50 filled 40 at 187.45 o-1",
        "order:update partially_filled buy 100 IBM @ 187.50 filled 40 at 187.45 o-2",
    ]


def test_an_empty_snapshot_is_shown() -> None:
    assert format_plain("price:update", {"initializing": True, "prices": [], "timestamp": AT}) == [
        "10:30:15.250 price:update snapshot: 0 prices"
    ]


def test_a_reset_is_highlighted_with_the_requested_id() -> None:
    data = {"reason": "trimmed", "requestedId": "e-5", "firstAvailableId": "e-90"}
    assert format_plain("stream:reset", data) == [
        (
            "12:00:00.123 stream:reset trimmed: e-5 cannot be resumed from "
            "(first available: e-90); a snapshot follows"
        )
    ]
    assert styles("stream:reset", data, "stream:reset") == {"bold white on red"}


def test_checkpoint_events_are_not_shown() -> None:
    assert format_plain("checkpoint", {}) == []


def test_unknown_events_show_all_their_fields() -> None:
    assert format_plain("alert:new", {"level": "error", "symbol": None}) == [
        "12:00:00.123 alert:new level=error symbol=-"
    ]


def test_data_that_is_not_an_object_is_shown_unchanged() -> None:
    assert format_plain("note", "plain") == ["12:00:00.123 note plain"]


def test_an_order_with_missing_fields_is_shown_without_them() -> None:
    assert format_plain("order:update", {"symbol": "IBM"}) == [
        "12:00:00.123 order:update - IBM market"
    ]


def test_control_characters_in_data_are_escaped() -> None:
    nasty = {**ORDER, "reason": "\x1b[2J\x1b]0;owned\x07[red]\nnext", "symbol": "I\rBM"}
    (line,) = format_event("order:update\x1b[31m", nasty, NOW)
    assert r"\x1b[2J\x1b]0;owned\x07[red]\nnext" in line.plain
    assert r"I\rBM" in line.plain
    assert all(character.isprintable() for character in line.plain)


def test_a_long_line_is_not_wrapped(capsys: Any) -> None:
    Console(highlight=False, soft_wrap=True, width=40).print(Text("x" * 300))
    assert capsys.readouterr().out == "x" * 300 + "\n"


def test_a_price_shows_all_its_digits_however_small() -> None:
    quote = {
        **PRICE, "symbol": "COIN/USD", "price": Decimal("1.235E-5"), "bid": None,
        "ask": Decimal("1E-8"), "change": Decimal("-0.00000012"), "volume": Decimal("1E+6"),
    }  # fmt: skip
    [line] = format_plain("price:update", quote)
    assert "COIN/USD 0.00001235 -0.00000012 (-0.02 %) - / 0.00000001 volume 1000000" in line
    [order] = format_plain("order:update", {**ORDER, "limitPrice": Decimal("1E-7")})
    assert "@ 0.0000001 " in order
