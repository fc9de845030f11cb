"""Validates items and classifies them as positive, neutral or negative.

A sentiment or a score from the source is kept, and the other is derived from it. An item with
neither is scored from its `text_to_score`. Start at `validate_item`, then `build_item_analysed`.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from tapewire.decimals import abbreviate
from tapewire.events import Item, ItemAnalysed, Sentiment
from tapewire.log import CommandRejected
from tapewire.runtime.contracts.insights import (
    MAX_REASON_CHARACTERS,
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
"""A score from here up is positive, from its negative down negative, and otherwise neutral, as the
authors of VADER recommend."""
NOMINAL_SCORES = {
    Sentiment.POSITIVE: Decimal(1),
    Sentiment.NEUTRAL: Decimal(0),
    Sentiment.NEGATIVE: Decimal(-1),
}
"""Scores of items whose source gives only a sentiment."""

_CASHTAG_PATTERN = re.compile(r"(?<![\w$])\$([A-Z]{1,5}(?:\.[A-Z])?)(?![\w$])")


class ValidatedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed item. `sentiment` and `score` are either both set or both None.

    `text_to_score` is the text from which a missing score is computed.
    """

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
    """Return `item`, received at `at` (UTC), in its stored form.

    Raises:
        CommandRejected: `invalid`, with the path of the malformed field.
    """
    title = text_validation.validate_line("title", item.title, MAX_TITLE_CHARACTERS)
    source = text_validation.validate_line("source", item.source, MAX_SOURCE_CHARACTERS)
    url = None if item.url is None else text_validation.validate_url("url", item.url)
    text = " ".join(item.text.split())[:MAX_TEXT_CHARACTERS]
    text_to_score = f"{title}\n{text}" if text else title
    tickers = text_validation.validate_tickers("tickers", item.tickers, MAX_TICKERS)
    sentiment, score = _reconcile_sentiment(item.sentiment, _validate_score(item.score))
    return ValidatedItem(
        id=item_id(source, url or title) if item.id is None else validate_id(item.id),
        title=title,
        source=source,
        url=url,
        tickers=tickers or extract_cashtags(text_to_score),
        tags=text_validation.validate_tags("tags", item.tags),
        sentiment=sentiment,
        score=score,
        timestamp=at if item.timestamp is None else _validate_timestamp(item.timestamp, at),
        text_to_score=text_to_score,
    )


def build_item_analysed(item: ValidatedItem, computed_score: Decimal | None) -> ItemAnalysed:
    """Return the event of `item`.

    Args:
        computed_score: The score of `item.text_to_score`; needed only if the item has none.

    Raises:
        ValueError: `computed_score` is needed and is not a number from -1 to 1.
    """
    if item.sentiment is not None and item.score is not None:
        return ItemAnalysed(item=_build_item(item, item.sentiment, item.score), scored=False)
    if computed_score is None or not computed_score.is_finite() or abs(computed_score) > 1:
        raise ValueError(f"a score is a number from -1 to 1, not {computed_score}")
    score = _normalize_score(computed_score)
    return ItemAnalysed(item=_build_item(item, classify_sentiment(score), score), scored=True)


def build_corrected_item(
    current: Item, item: ValidatedItem, request: NewItem, computed_score: Decimal | None
) -> Item:
    """Return `current` with the content of `item`, which is `request` validated.

    Args:
        computed_score: The score of `item.text_to_score`, for an item without one of its own.
    """
    is_scored_anew = item.title != current.title or request.text.strip() != ""
    if item.sentiment is None and not is_scored_anew:
        item = msgspec.structs.replace(item, sentiment=current.sentiment, score=current.score)
    if request.timestamp is None:
        item = msgspec.structs.replace(item, timestamp=current.timestamp)
    return build_item_analysed(item, computed_score).item


def validate_id(value: str) -> str:
    """Return the id of an item. Raises CommandRejected."""
    if not 1 <= len(value) <= MAX_ID_CHARACTERS or not (value.isascii() and value.isprintable()):
        why = f"must be 1 to {MAX_ID_CHARACTERS} printable ASCII characters"
        raise CommandRejected("invalid", f"id {why}, not {abbreviate(ascii(value))}", "id")
    return value


def validate_reason(value: str) -> str:
    """Return the reason of a correction or retraction, "" for none. Raises CommandRejected."""
    if not value.strip():
        return ""
    return text_validation.validate_line("reason", value, MAX_REASON_CHARACTERS)


def classify_sentiment(score: Decimal) -> Sentiment:
    """Return the sentiment of a score."""
    if score >= SENTIMENT_THRESHOLD:
        return Sentiment.POSITIVE
    return Sentiment.NEGATIVE if score <= -SENTIMENT_THRESHOLD else Sentiment.NEUTRAL


def extract_cashtags(text: str) -> tuple[str, ...]:
    """Return the tickers that `text` names as ``$IBM``, each once, at most `MAX_TICKERS`."""
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
        message = f"score must be a number from -1 to 1, not {abbreviate(value)}"
        raise CommandRejected("invalid", message, "score")
    return _normalize_score(value)


def _normalize_score(score: Decimal) -> Decimal:
    """Round to six places, without trailing zeros or a negative zero."""
    return score.quantize(SCORE_QUANTUM).normalize() + 0


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
