"""The URLs of requests for a stream."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tapewire.values import InvalidArgument

_HOST_PATTERN = re.compile(r"[\w.:-]+")
_RESUME_PARAMETER = re.compile(r"last(EventId|_event_id)=")
_EVENT_ID_PATTERN = re.compile(r"[!-~]{1,200}")
_TOPICS_PATH = "/api/stream"
_PRICES_TOPIC = "prices"

TimeOrId = datetime | str
"""A point of the past: a time, UTC where it has no offset, or an event id."""


def check_url(url: str) -> str:
    """Return `url` without its fragment if it can be that of a stream.

    Raises:
        InvalidArgument: It is not.
    """
    if isinstance(url, str):
        try:
            parts = urlsplit(url)
            is_host = _HOST_PATTERN.fullmatch(parts.hostname or "")
            if parts.scheme in ("http", "https") and is_host and parts.port != 0:
                return url.partition("#")[0]
        except ValueError:
            pass
    raise InvalidArgument(
        "url", url, "must be the URL of a stream, such as http://127.0.0.1:8000/api/stream/orders"
    )


def check_event_id(field: str, event_id: str) -> str:
    """Return `event_id` if a header can have it, or "".

    Raises:
        InvalidArgument: It is another text.
    """
    if isinstance(event_id, str) and (not event_id or _EVENT_ID_PATTERN.fullmatch(event_id)):
        return event_id
    raise InvalidArgument(field, event_id, "must be the id of an event")


def format_place(field: str, place: TimeOrId) -> str:
    """Return `place` as a query parameter has it.

    Raises:
        InvalidArgument: It is neither a time nor a text without spaces.
    """
    if isinstance(place, datetime):
        return (place if place.tzinfo else place.replace(tzinfo=UTC)).isoformat()
    if isinstance(place, str) and _EVENT_ID_PATTERN.fullmatch(place):
        return place
    raise InvalidArgument(field, place, "must be a time, or the id of an event")


def add_parameter(url: str, name: str, value: str) -> str:
    """Return `url` with a further query parameter."""
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}{name}={quote(value, safe='')}"


def resume_url(url: str, position: str) -> str:
    """Return the URL of a stream after the id `position`. The query has it too, because some
    proxies remove the header `Last-Event-ID`."""
    path, _, query = url.partition("?")
    others = [part for part in query.split("&") if part != "" and not _RESUME_PARAMETER.match(part)]
    return f"{path}?{'&'.join([*others, 'lastEventId=' + quote(position, safe='')])}"


def replace_content(url: str, content: Any) -> str:
    """Return the URL of a stream that shows what the data of `stream:updated` says: a client whose
    stream was changed reconnects to the same content."""
    if not isinstance(content, dict):
        return url
    path, _, query = url.partition("?")
    symbols = content.get("symbols")
    changed: dict[str, str | None] = {}
    if path.rstrip("/").endswith(_TOPICS_PATH):
        prices = (
            [_PRICES_TOPIC] if symbols is None else [f"{_PRICES_TOPIC}:{one}" for one in symbols]
        )
        names = [
            name
            for topic in content.get("topics", ())
            for name in (prices if topic == _PRICES_TOPIC else [topic])
        ]
        changed["topics"] = ",".join(names)
    else:
        changed["symbols"] = None if symbols is None else ",".join(symbols)
    max_rate = content.get("maxRate", content.get("max_rate"))
    if max_rate is not None:
        changed["maxRate"] = str(max_rate)
    others = [part for part in query.split("&") if part and part.partition("=")[0] not in changed]
    added = {name: value for name, value in changed.items() if value is not None}
    return f"{path}?{'&'.join([*others, *([urlencode(added)] if added else [])])}".rstrip("?")
