"""What a request asks a stream to show, checked: topics, symbols, series of bars, and the rate."""

from collections.abc import Iterable

import msgspec

from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.connection_info import StreamContent
from tapewire_services.edge.delivery.stream_routes import RouteParameter, StreamRoute
from tapewire_services.edge.delivery.topics import (
    BARS,
    PRICES,
    PUBLIC_VARIANTS,
    SELECTABLE_TOPICS,
    Topic,
)
from tapewire_services.edge.http.bar_request import parse_bar_series
from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.stream_request import (
    StreamRequest,
    parse_max_rate,
    parse_symbols,
)
from tapewire_services.edge.ingest.bar_feed import BarSeries

MAX_SERIES = 50
"""Series of bars of one stream."""


class SelectedTopics(msgspec.Struct, frozen=True):
    """The topics that a request names, the symbols of prices (None: all), and series of bars."""

    topics: tuple[Topic, ...]
    symbols: frozenset[str] | None
    bars: frozenset[BarSeries] = frozenset()


def parse_content(route: StreamRoute, request: StreamRequest) -> StreamContent:
    """What a request asks `route` to show. Raises HttpError (422)."""
    symbols = parse_symbols(request.query.get("symbols"))
    if route.parameter is RouteParameter.TOPICS:
        parts = request.query.get("topics", "").split(",")
        selected = select_topics(("topics", part) for part in parts if part.strip())
        if PRICES in selected.topics and selected.symbols is None:
            selected = msgspec.structs.replace(selected, symbols=symbols)
    else:
        selected = SelectedTopics(route.topics, symbols)
    max_rate = parse_max_rate(request.query.get("maxRate"))
    values = ValueSubscription(selected.symbols, max_rate, selected.bars)
    return StreamContent(topics=selected.topics, values=values)


def without_session(content: StreamContent) -> StreamContent:
    """What of `content` is shown to a client without a session: the public form of topics that have
    one."""
    topics = tuple(PUBLIC_VARIANTS.get(topic, topic) for topic in content.topics)
    return msgspec.structs.replace(content, topics=topics)


def select_topics(parts: Iterable[tuple[str, str]]) -> SelectedTopics:
    """The topics that texts name, such as ``orders``, ``prices:IBM`` and ``bars:IBM:1m``, each
    with the path that errors name.

    Raises:
        HttpError: 422, there is none, or an unknown one.
    """
    known = ", ".join(sorted(SELECTABLE_TOPICS))
    chosen: dict[str, Topic] = {}
    wanted, series = list[str](), set[BarSeries]()
    everything = False
    for path, part in parts:
        name, _, rest = part.strip().partition(":")
        if name not in SELECTABLE_TOPICS or (rest and name not in (PRICES.name, BARS.name)):
            raise HttpError(422, f"there are the topics {known}", path=path, value=part[:64])
        chosen[name] = SELECTABLE_TOPICS[name]
        if name == BARS.name:
            series.add(parse_bar_series(rest, path))
        everything |= name == PRICES.name and not rest
        wanted += [rest] if rest and name == PRICES.name else []
    if not chosen:
        raise HttpError(422, f"say which topics, of {known}", path="topics")
    if len(series) > MAX_SERIES:
        raise HttpError(422, f"{len(series)} series of bars, at most {MAX_SERIES}", path="topics")
    symbols = None if everything else parse_symbols(",".join(wanted))
    return SelectedTopics(tuple(chosen.values()), symbols, frozenset(series))
