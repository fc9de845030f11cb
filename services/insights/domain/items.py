"""What makes an item well-formed, and good, bad or neither. Start at `checked`, then `analysed`.

Whoever gives a sentiment or a score is believed, and the other is worked out from it (`RULE`
below); for an item with neither, somebody has to read `Checked.reading` and score it.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from tapewire.events import Item, ItemAnalysed, Sentiment
from tapewire.log import CommandRejected
from tapewire.runtime.contracts.insights import (
    MAX_SOURCE_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    NewItem,
    item_id,
)
from tapewire_services.insights.domain import text_validation

MAX_ID_CHARACTERS = 64
MAX_TICKERS = 20
EARLIEST_TIMESTAMP = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CLOCK_SKEW = timedelta(minutes=10)
"""How far the clock of a source may be ahead."""
SCORE_QUANTUM = Decimal("0.000001")

SENTIMENT_THRESHOLD = Decimal("0.05")
"""A score from here up is good, from its negative down bad, between them neither: what the authors
of VADER advise for its scores."""
NOMINAL_SCORES = {
    Sentiment.POSITIVE: Decimal(1),
    Sentiment.NEUTRAL: Decimal(0),
    Sentiment.NEGATIVE: Decimal(-1),
}
"""Scores of items whose source gives a sentiment alone."""

_CASHTAG_PATTERN = re.compile(r"(?<![\w$])\$([A-Z]{1,5}(?:\.[A-Z])?)(?![\w$])")


class ValidatedItem(msgspec.Struct, frozen=True, kw_only=True):
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
    text_to_score: str


def validate_item(item: NewItem, at: datetime) -> ValidatedItem:
    """`item`, that came at `at` (UTC), as it is kept.

    Raises:
        Refusal: invalid, with the path of the field at fault.
    """
    title = text_validation.validate_line("title", item.title, MAX_TITLE_CHARACTERS)
    source = text_validation.validate_line("source", item.source, MAX_SOURCE_CHARACTERS)
    url = None if item.url is None else text_validation.validate_url("url", item.url)
    text = " ".join(item.text.split())[:MAX_TEXT_CHARACTERS]
    reading = f"{title}\n{text}" if text else title
    given = text_validation.validate_tickers("tickers", item.tickers, MAX_TICKERS)
    sentiment, score = _reconcile_sentiment(item.sentiment, _validate_score(item.score))
    return ValidatedItem(
        id=item_id(source, url or title) if item.id is None else _validate_id(item.id),
        title=title,
        source=source,
        url=url,
        tickers=given or extract_cashtags(reading),
        tags=text_validation.validate_tags("tags", item.tags),
        sentiment=sentiment,
        score=score,
        timestamp=at if item.timestamp is None else _validate_timestamp(item.timestamp, at),
        text_to_score=reading,
    )


def build_item_analysed(item: ValidatedItem, computed_score: Decimal | None) -> ItemAnalysed:
    """The event. `scored` is the score of `item.reading`, needed when the item has none.

    Raises:
        ValueError: `scored` is needed, and is no number from -1 to 1.
    """
    if item.sentiment is not None and item.score is not None:
        return ItemAnalysed(item=_build_item(item, item.sentiment, item.score), scored=False)
    if computed_score is None or not computed_score.is_finite() or abs(computed_score) > 1:
        raise ValueError(f"a score is a number from -1 to 1, not {computed_score}")
    score = _normalize_score(computed_score)
    return ItemAnalysed(item=_build_item(item, classify_sentiment(score), score), scored=True)


def classify_sentiment(score: Decimal) -> Sentiment:
    """Good, bad or neither."""
    if score >= SENTIMENT_THRESHOLD:
        return Sentiment.POSITIVE
    return Sentiment.NEGATIVE if score <= -SENTIMENT_THRESHOLD else Sentiment.NEUTRAL


def extract_cashtags(text: str) -> tuple[str, ...]:
    """The tickers that `text` names as ``$IBM``, each once, `MOST_TICKERS` at the most."""
    return tuple(dict.fromkeys(_CASHTAG_PATTERN.findall(text)))[:MAX_TICKERS]


def _reconcile_sentiment(
    sentiment: Sentiment | None, score: Decimal | None
) -> tuple[Sentiment | None, Decimal | None]:
    if sentiment is None:
        return (None, None) if score is None else (classify_sentiment(score), score)
    if score is None:
        return sentiment, NOMINAL_SCORES[sentiment]
    if score * NOMINAL_SCORES[sentiment] < 0:
        message = f"score {score} contradicts the sentiment {sentiment.value}"
        raise CommandRejected("invalid", message, "score")
    return sentiment, score


def _validate_score(value: Decimal | None) -> Decimal | None:
    if value is None:
        return None
    if not value.is_finite() or not -1 <= value <= 1:
        message = f"score must be a number from -1 to 1, not {text_validation.shorten(value)}"
        raise CommandRejected("invalid", message, "score")
    return _normalize_score(value)


def _normalize_score(score: Decimal) -> Decimal:
    """To six places, without trailing zeros, and no -0."""
    return score.quantize(SCORE_QUANTUM).normalize() + 0


def _validate_id(value: str) -> str:
    if not 1 <= len(value) <= MAX_ID_CHARACTERS or not (value.isascii() and value.isprintable()):
        why = f"must be 1 to {MAX_ID_CHARACTERS} printable ASCII characters"
        raise CommandRejected(
            "invalid", f"id {why}, not {text_validation.shorten(ascii(value))}", "id"
        )
    return value


def _validate_timestamp(value: datetime, at: datetime) -> datetime:
    if value.tzinfo is None:
        why = "must have its offset from UTC, or Z"
    elif value < EARLIEST_TIMESTAMP:
        why = f"must not be before {EARLIEST_TIMESTAMP.year}"
    elif value > at + MAX_CLOCK_SKEW:
        why = f"must be at most {MAX_CLOCK_SKEW.seconds // 60} minutes ahead of {at.isoformat()}"
    else:
        return value.astimezone(UTC)
    raise CommandRejected("invalid", f"timestamp {why}, not {value.isoformat()}", "timestamp")


def _build_item(validated: ValidatedItem, sentiment: Sentiment, score: Decimal) -> Item:
    return Item(
        id=validated.id,
        title=validated.title,
        source=validated.source,
        url=validated.url,
        tickers=validated.tickers,
        tags=validated.tags,
        sentiment=sentiment,
        score=score,
        timestamp=validated.timestamp,
    )
