"""Formats events as lines for a terminal. Pure functions.

A line has the time, the name of the event and its main fields. A snapshot has one line of its own
and one for each of its items. An unknown event shows all its fields. Control characters from
outside are escaped, so they move no cursor and set no colour.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.text import Text

from tapewire.decimals import format_decimal, format_price

EventData = Mapping[str, Any]

HIDDEN_EVENTS = frozenset({"checkpoint", "ping", "heartbeat", "PING", "stream:draining"})
"""Events that only keep the stream alive."""
NAME_WIDTH = 15

_UP_COLOR, _DOWN_COLOR, _DIM_STYLE = "green", "red", "dim"
_STATUS_STYLES = {
    "filled": "green",
    "partially_filled": "yellow",
    "canceled": "magenta",
    "rejected": "bold red",
    "failed": "bold red",
}


def format_event(event: str, data: Any, now: datetime) -> Iterator[Text]:
    """Yield the lines of `event`. The time zone of `now` is that of the times shown."""
    if event in HIDDEN_EVENTS:
        return
    if not isinstance(data, dict):
        yield _format_line(event, {}, now, [_format_value(data)])
    elif event == "stream:reset":
        yield _format_reset(data, now)
    elif data.get("snapshot") or data.get("initializing"):
        yield from _format_snapshot(event, data, now)
    else:
        yield _format_line(event, data, now, _FORMATTERS.get(event, _format_all_fields)(data))


def _format_line(event: str, data: EventData, now: datetime, parts: list[Text]) -> Text:
    name = Text(
        escape_unprintable(event).ljust(NAME_WIDTH), "bold" if event in _FORMATTERS else _DIM_STYLE
    )
    return Text(" ").join(
        [Text(_format_time(data.get("timestamp"), now), _DIM_STYLE), name, *parts]
    )


def _format_snapshot(event: str, data: EventData, now: datetime) -> Iterator[Text]:
    show = _FORMATTERS.get(event, _format_all_fields)
    found = [(key, value) for key, value in data.items() if isinstance(value, list)]
    about = ", ".join(f"{len(value)} {escape_unprintable(key)}" for key, value in found)
    yield _format_line(event, data, now, [Text(f"snapshot: {about or 'nothing'}", "italic")])
    for _, value in found:
        for item in value:
            if isinstance(item, dict):
                yield _format_line(event, item, now, show(item))


def _format_reset(data: EventData, now: datetime) -> Text:
    text = Text.assemble(
        ("stream:reset".ljust(NAME_WIDTH), "bold white on red"),
        (f" {escape_unprintable(data.get('reason', 'no reason given'))}", "bold red"),
        f": {escape_unprintable(data.get('requestedId', '?'))} cannot be resumed from"
        f" (first available: {escape_unprintable(data.get('firstAvailableId', '?'))});"
        " a snapshot follows",
    )
    return Text(" ").join([Text(_format_time(data.get("timestamp"), now), _DIM_STYLE), text])


def _format_order(data: EventData) -> list[Text]:
    status = escape_unprintable(data.get("status", ""))
    parts = [
        Text(status.ljust(16), _STATUS_STYLES.get(status, "cyan")),
        *_format_side_quantity_symbol(data, "qty"),
        Text(
            f"@ {_format_price_of(data['limitPrice'])}"
            if data.get("limitPrice") is not None
            else "market"
        ),
    ]
    if data.get("stopPrice") is not None:
        parts.append(Text(f"stop {_format_price_of(data['stopPrice'])}"))
    if data.get("timeInForce"):
        parts.append(Text(escape_unprintable(data["timeInForce"])))
    if data.get("reduceOnly"):
        parts.append(Text("reduce only"))
    if data.get("filledQty"):
        at = data.get("filledAvgPrice")
        parts.append(Text(f"filled {_format_number(data['filledQty'])}"))
        parts += [Text(f"at {_format_price_of(at)}")] if at is not None else []
    if data.get("reason"):
        parts.append(Text(f"({escape_unprintable(data['reason'])})", "yellow"))
    return [*parts, Text(escape_unprintable(data.get("orderId", "")), _DIM_STYLE)]


def _format_fill(data: EventData) -> list[Text]:
    return [
        Text("fill".ljust(16), "bold green"),
        *_format_side_quantity_symbol(data, "fillQty"),
        Text(f"at {_format_price_of(data.get('fillPrice'))}"),
        Text(f"({_format_number(data.get('filledQty'))} of {_format_number(data.get('qty'))})"),
        Text(escape_unprintable(data.get("orderId", "")), _DIM_STYLE),
    ]


def _format_trade(data: EventData) -> list[Text]:
    return [
        Text("trade".ljust(16), "bold green"),
        *_format_side_quantity_symbol(data, "qty"),
        Text(f"at {_format_price_of(data.get('price'))}"),
        Text(escape_unprintable(data.get("tradeId", "")), _DIM_STYLE),
    ]


def _format_side_quantity_symbol(data: EventData, quantity: str) -> list[Text]:
    """Return side, quantity and symbol in columns."""
    side = escape_unprintable(data.get("side", ""))
    return [
        Text(side.ljust(4), {"buy": _UP_COLOR, "sell": _DOWN_COLOR}.get(side, "")),
        Text(_format_number(data.get(quantity)).rjust(8)),
        Text(escape_unprintable(data.get("symbol", "")).ljust(6), "bold"),
    ]


def _format_price(data: EventData) -> list[Text]:
    change = data.get("change")
    moved = change if isinstance(change, int | float | Decimal) else 0
    colour = _UP_COLOR if moved > 0 else _DOWN_COLOR if moved < 0 else ""
    return [
        Text(escape_unprintable(data.get("symbol", "")).ljust(6), "bold"),
        Text(_format_price_of(data.get("price")).rjust(10), colour),
        Text(
            f"{_format_change(change)} ({_format_percent(data.get('changePercent'))} %)".rjust(18),
            colour,
        ),
        Text(f"{_format_price_of(data.get('bid'))} / {_format_price_of(data.get('ask'))}"),
        Text(f"volume {_format_number(data.get('volume'))}", _DIM_STYLE),
    ]


def _format_all_fields(data: EventData) -> list[Text]:
    return [
        Text(f"{escape_unprintable(key)}={_format_value(value)}")
        for key, value in data.items()
        if key != "timestamp"
    ]


_FORMATTERS: dict[str, Callable[[EventData], list[Text]]] = {
    "order:update": _format_order,
    "order:fill": _format_fill,
    "trade:new": _format_trade,
    "price:update": _format_price,
}


def escape_unprintable(value: Any) -> str:
    """Return `value` as text with unprintable characters escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(value)
    )


def _format_value(value: Any) -> Text:
    return Text("-" if value is None else escape_unprintable(value))


def _format_number(value: Any) -> str:
    if isinstance(value, Decimal):
        return format_decimal(value)
    return "-" if value is None else escape_unprintable(value)


def _format_price_of(value: Any) -> str:
    return format_price(value) if isinstance(value, Decimal) else _format_number(value)


def _format_change(value: Any) -> str:
    if not isinstance(value, int | float | Decimal):
        return "-"
    sign = "-" if value < 0 else "+"
    return f"{sign}{format_price(abs(Decimal(str(value))))}"


def _format_percent(value: Any) -> str:
    return f"{value:+.2f}" if isinstance(value, int | float | Decimal) else "-"


def _format_time(timestamp: Any, now: datetime) -> str:
    """Format the local time of day; without a timestamp, the time of arrival."""
    when = now
    if isinstance(timestamp, str):
        try:
            when = datetime.fromisoformat(timestamp).astimezone(now.tzinfo)
        except ValueError:
            when = now
    return when.strftime("%H:%M:%S.") + f"{when.microsecond // 1000:03}"
