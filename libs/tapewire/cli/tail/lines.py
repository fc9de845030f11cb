"""Events as lines for a terminal: pure.

A line is the time, the event's name and its main fields. A snapshot is a line of its own and one a
thing in it. Events that this module does not know show all their fields. Whatever comes from
outside is shown, never obeyed: control characters are spelt out.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.text import Text

Data = Mapping[str, Any]

QUIET = frozenset({"checkpoint", "ping", "heartbeat", "PING", "stream:draining"})
"""Events that only say that the stream lives."""
NAME_WIDTH = 15

_UP, _DOWN, _DIM = "green", "red", "dim"
_STATUS = {"filled": "green", "partially_filled": "yellow", "canceled": "magenta",
           "rejected": "bold red", "failed": "bold red"}  # fmt: skip


def lines(event: str, data: Any, now: datetime) -> Iterator[Text]:
    """The lines that `event` is worth, at `now` (in the zone that times are shown in)."""
    if event in QUIET:
        return
    if not isinstance(data, dict):
        yield _line(event, {}, now, [_plain(data)])
    elif event == "stream:reset":
        yield _reset(data, now)
    elif data.get("snapshot") or data.get("initializing"):
        yield from _snapshot(event, data, now)
    else:
        yield _line(event, data, now, _FIELDS.get(event, _all)(data))


def _line(event: str, data: Data, now: datetime, parts: list[Text]) -> Text:
    name = Text(clean(event).ljust(NAME_WIDTH), "bold" if event in _FIELDS else _DIM)
    return Text(" ").join([Text(_clock(data.get("timestamp"), now), _DIM), name, *parts])


def _snapshot(event: str, data: Data, now: datetime) -> Iterator[Text]:
    show = _FIELDS.get(event, _all)
    found = [(key, value) for key, value in data.items() if isinstance(value, list)]
    about = ", ".join(f"{len(value)} {clean(key)}" for key, value in found)
    yield _line(event, data, now, [Text(f"snapshot: {about or 'nothing'}", "italic")])
    for _, value in found:
        for item in value:
            if isinstance(item, dict):
                yield _line(event, item, now, show(item))


def _reset(data: Data, now: datetime) -> Text:
    text = Text.assemble(
        ("stream:reset".ljust(NAME_WIDTH), "bold white on red"),
        (f" {clean(data.get('reason', 'no reason given'))}", "bold red"),
        f": {clean(data.get('requestedId', '?'))} cannot be resumed from"
        f" (first available: {clean(data.get('firstAvailableId', '?'))}); a snapshot follows",
    )
    return Text(" ").join([Text(_clock(data.get("timestamp"), now), _DIM), text])


def _order(data: Data) -> list[Text]:
    status = clean(data.get("status", ""))
    parts = [
        Text(status.ljust(16), _STATUS.get(status, "cyan")),
        *_deal(data, "qty"),
        Text(
            f"@ {_number(data['limitPrice'])}" if data.get("limitPrice") is not None else "market"
        ),
    ]
    if data.get("filledQty"):
        at = data.get("filledAvgPrice")
        parts.append(Text(f"filled {_number(data['filledQty'])}"))
        parts += [Text(f"at {_number(at)}")] if at is not None else []
    if data.get("reason"):
        parts.append(Text(f"({clean(data['reason'])})", "yellow"))
    return [*parts, Text(clean(data.get("orderId", "")), _DIM)]


def _fill(data: Data) -> list[Text]:
    return [
        Text("fill".ljust(16), "bold green"),
        *_deal(data, "fillQty"),
        Text(f"at {_number(data.get('fillPrice'))}"),
        Text(f"({_number(data.get('filledQty'))} of {_number(data.get('qty'))})"),
        Text(clean(data.get("orderId", "")), _DIM),
    ]


def _trade(data: Data) -> list[Text]:
    return [
        Text("trade".ljust(16), "bold green"),
        *_deal(data, "qty"),
        Text(f"at {_number(data.get('price'))}"),
        Text(clean(data.get("tradeId", "")), _DIM),
    ]


def _deal(data: Data, quantity: str) -> list[Text]:
    """Side, quantity and symbol, in columns."""
    side = clean(data.get("side", ""))
    return [
        Text(side.ljust(4), {"buy": _UP, "sell": _DOWN}.get(side, "")),
        Text(_number(data.get(quantity)).rjust(8)),
        Text(clean(data.get("symbol", "")).ljust(6), "bold"),
    ]


def _price(data: Data) -> list[Text]:
    change = data.get("change")
    moved = change if isinstance(change, int | float | Decimal) else 0
    colour = _UP if moved > 0 else _DOWN if moved < 0 else ""
    return [
        Text(clean(data.get("symbol", "")).ljust(6), "bold"),
        Text(_number(data.get("price")).rjust(10), colour),
        Text(f"{_signed(change)} ({_signed(data.get('changePercent'))} %)".rjust(18), colour),
        Text(f"{_number(data.get('bid'))} / {_number(data.get('ask'))}"),
        Text(f"volume {_number(data.get('volume'))}", _DIM),
    ]


def _all(data: Data) -> list[Text]:
    return [
        Text(f"{clean(key)}={_plain(value)}") for key, value in data.items() if key != "timestamp"
    ]


_FIELDS: dict[str, Callable[[Data], list[Text]]] = {
    "order:update": _order,
    "order:fill": _fill,
    "trade:new": _trade,
    "price:update": _price,
}


def clean(value: Any) -> str:
    """`value` as text that moves no cursor and sets no colour."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(value)
    )


def _plain(value: Any) -> Text:
    return Text("-" if value is None else clean(value))


def _number(value: Any) -> str:
    return "-" if value is None else clean(value)


def _signed(value: Any) -> str:
    if not isinstance(value, int | float | Decimal):
        return "-"
    return f"{value:+.2f}"


def _clock(timestamp: Any, now: datetime) -> str:
    """Local time of day; an event without a time shows when it came."""
    when = now
    if isinstance(timestamp, str):
        try:
            when = datetime.fromisoformat(timestamp).astimezone(now.tzinfo)
        except ValueError:
            when = now
    return when.strftime("%H:%M:%S.") + f"{when.microsecond // 1000:03}"
