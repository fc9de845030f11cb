"""Validation of items, their ids, and the classification of their sentiment."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapewire.events import CODEC, ItemAnalysed, Sentiment
from tapewire.log import CommandRejected
from tapewire.runtime.contracts.insights import NewItem, item_id
from tapewire_services.insights.domain.items import (
    MAX_CLOCK_SKEW,
    build_item_analysed,
    classify_sentiment,
    validate_item,
)
from tests.harness.item_builders import START, new_item, rejection_of, stored_item

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Without time limits: a busy machine must not fail an example."""
GOOD, NEITHER, BAD = Sentiment.POSITIVE, Sentiment.NEUTRAL, Sentiment.NEGATIVE


def test_texts_are_trimmed_and_words_are_deduplicated() -> None:
    item = stored_item(
        new_item(
            "  IBM beats\n\testimates ",
            " Wire ",
            url=" https://news.example/17?a=b#c ",
            tickers=(" ibm", "IBM", "brk.b"),
            tags=("Earnings ", "earnings", "big  tech"),
        )
    )
    assert (item.title, item.source) == ("IBM beats estimates", "Wire")
    assert item.url == "https://news.example/17?a=b#c"
    assert item.tickers == ("IBM", "BRK.B")
    assert item.tags == ("earnings", "big tech")


@pytest.mark.parametrize(
    ("bad", "path", "expected"),
    [
        ({"title": " \n "}, "title", "1 to 200 characters, not 0"),
        ({"title": "x" * 201}, "title", "1 to 200 characters, not 201: 'xxxx"),
        ({"title": "x" * 900_000}, "title", "not 900000"),
        ({"title": "a\x00b"}, "title", "control characters"),
        ({"title": "a\ud800b"}, "title", "control characters"),
        ({"source": ""}, "source", "1 to 60 characters"),
        ({"source": "s" * 61}, "source", "not 61"),
        ({"url": "javascript:alert(1)"}, "url", "http://"),
        ({"url": "data:text/html,x"}, "url", "http://"),
        ({"url": "https://"}, "url", "http://"),
        ({"url": "http://[x"}, "url", "is no address"),
        ({"url": "http://x:99999/"}, "url", "is no address"),
        ({"url": 'http://x/"><script>'}, "url", "no other characters"),
        ({"url": "http://x/a b"}, "url", "no other characters"),
        ({"url": "http://x/" + "y" * 1100}, "url", "1 to 1024 characters"),
        ({"tickers": ("IBM", "")}, "tickers[1]", "1 to 64 printable ASCII"),
        ({"tickers": ("ß",)}, "tickers[0]", "ASCII"),
        ({"tickers": ("I,BM",)}, "tickers[0]", "no comma"),
        ({"tickers": ("A" * 65,)}, "tickers[0]", "1 to 64"),
        ({"tickers": ("IBM",) * 21}, "tickers", "at most 20 tickers, not 21"),
        ({"tags": ("a", "b\x07")}, "tags[1]", "control characters"),
        ({"tags": ("x" * 41,)}, "tags[0]", "1 to 40 characters, not 41"),
        ({"tags": ("a",) * 11}, "tags", "at most 10 tags, not 11"),
        ({"score": Decimal("1.0000001")}, "score", "from -1 to 1, not 1.0000001"),
        ({"score": Decimal("-2")}, "score", "from -1 to 1"),
        ({"score": Decimal("NaN")}, "score", "from -1 to 1, not NaN"),
        ({"score": Decimal("-Infinity")}, "score", "from -1 to 1"),
        ({"score": Decimal("1E+999999")}, "score", "from -1 to 1, not 1E+999999"),
        ({"score": Decimal("-0.5"), "sentiment": GOOD}, "score", "contradicts the sentiment"),
        ({"score": Decimal("0.5"), "sentiment": BAD}, "score", "contradicts the sentiment"),
        ({"timestamp": datetime(2026, 3, 2)}, "timestamp", "offset from UTC"),  # noqa: DTZ001
        (
            {"timestamp": START + MAX_CLOCK_SKEW + timedelta(seconds=1)},
            "timestamp",
            "10 minutes ahead",
        ),
        (
            {"timestamp": datetime.max.replace(tzinfo=timezone(-timedelta(hours=9)))},
            "timestamp",
            "",
        ),
        ({"timestamp": datetime.min.replace(tzinfo=timezone(timedelta(hours=9)))}, "timestamp", ""),
        ({"id": ""}, "id", "1 to 64 printable ASCII characters"),
        ({"id": "a\r\nb"}, "id", "printable ASCII"),
        ({"id": "x" * 65}, "id", "1 to 64"),
    ],
)
def test_values_out_of_bounds_are_rejected_with_field_and_value(
    bad: dict[str, Any], path: str, expected: str
) -> None:
    found, message = rejection_of(new_item(**{"title": "t", "source": "s", **bad}))
    assert found == path
    assert expected in message
    assert len(message) < 200


def test_a_password_in_a_url_is_rejected_and_not_repeated() -> None:
    for url in ("https://ann:hunter2@x.example/", "https://ann:hunter2@[x", "ftp://hunter2@x"):
        path, message = rejection_of(new_item(url=url))
        assert path == "url"
        assert "hunter2" not in message


def test_an_at_sign_in_a_path_is_allowed() -> None:
    assert stored_item(new_item(url="https://x.example/@ann")).url == "https://x.example/@ann"


def test_times_are_stored_in_utc_and_default_to_now() -> None:
    east = timezone(timedelta(hours=2))
    item = stored_item(new_item(timestamp=datetime(2026, 3, 2, 10, tzinfo=east)))
    assert item.timestamp == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert item.timestamp.tzinfo is UTC
    assert stored_item(new_item()).timestamp == START


def test_cashtags_are_used_if_no_tickers_are_given() -> None:
    text = "and $SPY, not US$IBM, $ibm, $100 or $TOOLONG, but ($F)."
    assert stored_item(new_item("$IBM beats $BRK.B", text=text)).tickers == (
        "IBM",
        "BRK.B",
        "SPY",
        "F",
    )
    assert stored_item(new_item("$IBM beats", tickers=("SPY",))).tickers == ("SPY",)
    many = " ".join(f"${chr(65 + a)}{chr(65 + b)}" for a in range(5) for b in range(5))
    assert len(stored_item(new_item("many", text=many)).tickers) == 20


@pytest.mark.parametrize(
    ("sentiment", "score", "kept_as"),
    [
        (GOOD, None, (GOOD, "1")),
        (NEITHER, None, (NEITHER, "0")),
        (BAD, None, (BAD, "-1")),
        (None, "0.05", (GOOD, "0.05")),
        (None, "0.0499", (NEITHER, "0.0499")),
        (None, "-0.0499", (NEITHER, "-0.0499")),
        (None, "-0.05", (BAD, "-0.05")),
        (NEITHER, "0.3", (NEITHER, "0.3")),
        (GOOD, "0.01", (GOOD, "0.01")),
        (None, "0.12345678", (GOOD, "0.123457")),
        (None, "-0.00000001", (NEITHER, "0")),
        (None, "1.000000", (GOOD, "1")),
    ],
)
def test_a_given_sentiment_or_score_is_kept(
    sentiment: Sentiment | None, score: str | None, kept_as: tuple[Sentiment, str]
) -> None:
    of = new_item(sentiment=sentiment, score=None if score is None else Decimal(score))
    event = build_item_analysed(validate_item(of, START), None)
    assert (event.item.sentiment, str(event.item.score)) == kept_as
    assert not event.scored


def test_an_item_without_sentiment_and_score_is_scored() -> None:
    event = build_item_analysed(validate_item(new_item(), START), Decimal("-0.6369"))
    assert (event.item.sentiment, event.item.score, event.scored) == (BAD, Decimal("-0.6369"), True)


@pytest.mark.parametrize("score", [None, Decimal("1.1"), Decimal("NaN"), Decimal("-Infinity")])
def test_an_invalid_score_of_the_scorer_raises_value_error(score: Decimal | None) -> None:
    with pytest.raises(ValueError, match="a score is a number from -1 to 1"):
        build_item_analysed(validate_item(new_item(), START), score)


def test_the_text_to_score_is_the_title_and_1000_characters_of_text() -> None:
    assert validate_item(new_item("Title"), START).text_to_score == "Title"
    reading = validate_item(new_item("Title", text=" a  b " + "x" * 5000), START).text_to_score
    assert reading == "Title\na b " + "x" * 996


def test_the_id_depends_on_source_and_url_or_title_only() -> None:
    one = stored_item(new_item("A title", url="https://x.example/1", tags=("a",)))
    other = stored_item(new_item("Another title", url=" https://x.example/1", tickers=("SPY",)))
    assert one.id == other.id == item_id("Wire", "https://x.example/1")
    assert stored_item(new_item("A  title")).id == stored_item(new_item(" A title")).id != one.id
    assert (
        stored_item(new_item("A title", "Wire 2")).id != stored_item(new_item("A title", "Wire")).id
    )
    assert stored_item(new_item(id="my-17")).id == "my-17"


words = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)


@PATIENT
@given(words, words, words, words)
def test_ids_are_unique_by_source_and_name(
    source: str, named: str, other_source: str, other: str
) -> None:
    assert item_id(source, named) == item_id(source, named)
    assert len(item_id(source, named)) == 32
    if (source, named) != (other_source, other):
        assert item_id(source, named) != item_id(other_source, other)


def test_the_boundary_of_source_and_name_changes_the_id() -> None:
    assert item_id("a", "b:c") != item_id("a:b", "c")
    assert item_id("1:a", "b") != item_id("1", "a:b")


def validate_and_score(item: NewItem) -> tuple[CommandRejected | None, ItemAnalysed | None]:
    try:
        return None, build_item_analysed(validate_item(item, START), Decimal("0.1"))
    except CommandRejected as refused:
        return refused, None


scores = st.decimals(allow_nan=True, allow_infinity=True)
instants = st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=-9))]))


@PATIENT
@given(
    st.builds(
        NewItem,
        title=st.text(max_size=300),
        source=st.text(max_size=80),
        url=st.none() | st.text(max_size=60) | st.text("htps:/@[]%.x#?", max_size=30),
        tickers=st.lists(st.text(max_size=20), max_size=25).map(tuple),
        tags=st.lists(st.text(max_size=50), max_size=12).map(tuple),
        sentiment=st.none() | st.sampled_from(Sentiment),
        score=st.none() | scores | st.decimals(-1, 1),
        text=st.text(max_size=1200),
        timestamp=st.none() | instants,
        id=st.none() | st.text(max_size=70),
    )
)
def test_any_item_is_stored_within_bounds_or_rejected_with_its_field(item: NewItem) -> None:
    refused, event = validate_and_score(item)
    if refused is not None:
        assert refused.code == "invalid"
        assert (refused.path or "").partition("[")[0] in NewItem.__struct_encode_fields__
        assert len(refused.message) < 250
        return
    assert event is not None
    of = event.item
    assert -1 <= of.score <= 1
    assert 1 <= len(of.title) <= 200
    assert of.timestamp <= START + MAX_CLOCK_SKEW
    assert CODEC.decode(CODEC.encode(event), type(event)) == event
    again = NewItem(
        title=of.title, source=of.source, url=of.url, tickers=of.tickers, tags=of.tags,
        sentiment=of.sentiment, score=of.score, timestamp=of.timestamp, id=of.id,
    )  # fmt: skip
    assert build_item_analysed(validate_item(again, START), None).item == of, (
        "a stored item changed when it was validated again"
    )


@PATIENT
@given(st.decimals(-1, 1))
def test_sentiment_thresholds_are_symmetric(score: Decimal) -> None:
    mirror = {GOOD: BAD, BAD: GOOD, NEITHER: NEITHER}
    assert classify_sentiment(-score) is mirror[classify_sentiment(score)]
