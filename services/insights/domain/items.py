"""What makes an item well-formed, and good, bad or neither. Start at `checked`, then `analysed`.

Whoever gives a sentiment or a score is believed, and the other is worked out from it (`RULE`
below); for an item with neither, somebody has to read `Checked.reading` and score it.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from services.insights.domain import texts
from tapewire.events import Item, ItemAnalysed, Sentiment
from tapewire.log import Refusal
from tapewire.runtime.contracts.insights import (
    SOURCE_CHARACTERS,
    TEXT_CHARACTERS,
    TITLE_CHARACTERS,
    NewItem,
    item_id,
)

ID_CHARACTERS = 64
MOST_TICKERS = 20
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=10)
"""How far the clock of a source may be ahead."""
SCORE_PLACES = Decimal("0.000001")

RULE = Decimal("0.05")
"""A score from here up is good, from its negative down bad, between them neither: what the authors
of VADER advise for its scores."""
NOMINAL = {
    Sentiment.POSITIVE: Decimal(1),
    Sentiment.NEUTRAL: Decimal(0),
    Sentiment.NEGATIVE: Decimal(-1),
}
"""Scores of items whose source gives a sentiment alone."""

_CASHTAG = re.compile(r"(?<![\w$])\$([A-Z]{1,5}(?:\.[A-Z])?)(?![\w$])")


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed item; `sentiment` and `score` are both there or both missing. `reading` is what
    tells about it."""

    id: str
    title: str
    source: str
    url: str | None
    tickers: tuple[str, ...]
    tags: tuple[str, ...]
    sentiment: Sentiment | None
    score: Decimal | None
    timestamp: datetime
    reading: str


def checked(item: NewItem, at: datetime) -> Checked:
    """`item`, that came at `at` (UTC), as it is kept.

    Raises:
        Refusal: invalid, with the path of the field at fault.
    """
    title = texts.one_line("title", item.title, TITLE_CHARACTERS)
    source = texts.one_line("source", item.source, SOURCE_CHARACTERS)
    url = None if item.url is None else texts.web_address("url", item.url)
    text = " ".join(item.text.split())[:TEXT_CHARACTERS]
    reading = f"{title}\n{text}" if text else title
    given = texts.tickers("tickers", item.tickers, MOST_TICKERS)
    sentiment, score = _judged(item.sentiment, _score(item.score))
    return Checked(
        id=item_id(source, url or title) if item.id is None else _id(item.id),
        title=title,
        source=source,
        url=url,
        tickers=given or cashtags(reading),
        tags=texts.tags("tags", item.tags),
        sentiment=sentiment,
        score=score,
        timestamp=at if item.timestamp is None else _time(item.timestamp, at),
        reading=reading,
    )


def analysed(item: Checked, scored: Decimal | None) -> ItemAnalysed:
    """The event. `scored` is the score of `item.reading`, needed when the item has none.

    Raises:
        ValueError: `scored` is needed, and is no number from -1 to 1.
    """
    if item.sentiment is not None and item.score is not None:
        return ItemAnalysed(item=_item(item, item.sentiment, item.score), scored=False)
    if scored is None or not scored.is_finite() or abs(scored) > 1:
        raise ValueError(f"a score is a number from -1 to 1, not {scored}")
    score = _plain(scored)
    return ItemAnalysed(item=_item(item, sentiment_of(score), score), scored=True)


def sentiment_of(score: Decimal) -> Sentiment:
    """Good, bad or neither."""
    if score >= RULE:
        return Sentiment.POSITIVE
    return Sentiment.NEGATIVE if score <= -RULE else Sentiment.NEUTRAL


def cashtags(text: str) -> tuple[str, ...]:
    """The tickers that `text` names as ``$IBM``, each once, `MOST_TICKERS` at the most."""
    return tuple(dict.fromkeys(_CASHTAG.findall(text)))[:MOST_TICKERS]


def _judged(
    sentiment: Sentiment | None, score: Decimal | None
) -> tuple[Sentiment | None, Decimal | None]:
    if sentiment is None:
        return (None, None) if score is None else (sentiment_of(score), score)
    if score is None:
        return sentiment, NOMINAL[sentiment]
    if score * NOMINAL[sentiment] < 0:
        message = f"score {score} contradicts the sentiment {sentiment.value}"
        raise Refusal("invalid", message, "score")
    return sentiment, score


def _score(value: Decimal | None) -> Decimal | None:
    if value is None:
        return None
    if not value.is_finite() or not -1 <= value <= 1:
        message = f"score must be a number from -1 to 1, not {texts.show(value)}"
        raise Refusal("invalid", message, "score")
    return _plain(value)


def _plain(score: Decimal) -> Decimal:
    """To six places, without trailing zeros, and no -0."""
    return score.quantize(SCORE_PLACES).normalize() + 0


def _id(value: str) -> str:
    if not 1 <= len(value) <= ID_CHARACTERS or not (value.isascii() and value.isprintable()):
        why = f"must be 1 to {ID_CHARACTERS} printable ASCII characters"
        raise Refusal("invalid", f"id {why}, not {texts.show(ascii(value))}", "id")
    return value


def _time(value: datetime, at: datetime) -> datetime:
    if value.tzinfo is None:
        why = "must have its offset from UTC, or Z"
    elif value < EARLIEST:
        why = f"must not be before {EARLIEST.year}"
    elif value > at + AHEAD:
        why = f"must be at most {AHEAD.seconds // 60} minutes ahead of {at.isoformat()}"
    else:
        return value.astimezone(UTC)
    raise Refusal("invalid", f"timestamp {why}, not {value.isoformat()}", "timestamp")


def _item(of: Checked, sentiment: Sentiment, score: Decimal) -> Item:
    return Item(
        id=of.id,
        title=of.title,
        source=of.source,
        url=of.url,
        tickers=of.tickers,
        tags=of.tags,
        sentiment=sentiment,
        score=score,
        timestamp=of.timestamp,
    )
