"""The counts of all items: the fold equals a recount, also from a checkpoint at any event."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tapewire.events import Item, ItemAnalysed, Metrics, Sentiment, TagCount
from tapewire.views import MetricsView, metrics
from tapewire.views.metrics import RETAINED_MINUTES, TOP_TAG_COUNT

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Without time limits: a busy machine must not fail an example."""
NOW = datetime(2026, 3, 2, 14, 30, 20, tzinfo=UTC)
LARGEST_BYTES = 1_000_000


def analysed(
    minutes_ago: float = 0,
    sentiment: Sentiment = Sentiment.NEUTRAL,
    tags: tuple[str, ...] = (),
) -> ItemAnalysed:
    item = Item(
        id="i",
        title="t",
        source="s",
        url=None,
        tickers=(),
        tags=tags,
        sentiment=sentiment,
        score=Decimal(0),
        timestamp=NOW - timedelta(minutes=minutes_ago),
    )
    return ItemAnalysed(item=item, scored=True)


def fold(events: list[ItemAnalysed], view: MetricsView | None = None) -> MetricsView:
    view = view or MetricsView()
    for event in events:
        view.apply(event)
    return view


def recount(events: list[ItemAnalysed], at: datetime) -> Metrics:
    """Compute the metrics from all events, without a limit of memory."""
    items = [event.item for event in events]
    tags = Counter(tag for item in items for tag in item.tags)
    top_tags = sorted(tags.items(), key=lambda one: (-one[1], one[0]))[:TOP_TAG_COUNT]
    end = at.replace(second=0, microsecond=0) + timedelta(minutes=1)

    def recent(hours: int) -> int:
        return sum(end - timedelta(hours=hours) <= item.timestamp < end for item in items)

    def of(sentiment: Sentiment) -> int:
        return sum(item.sentiment is sentiment for item in items)

    return Metrics(
        total=len(items),
        positive=of(Sentiment.POSITIVE),
        neutral=of(Sentiment.NEUTRAL),
        negative=of(Sentiment.NEGATIVE),
        tags=tuple(TagCount(tag=tag, count=count) for tag, count in top_tags),
        other_tags=tags.total() - sum(count for _, count in top_tags),
        last_hour=recent(1),
        last_day=recent(24),
        per_hour=(Decimal(recent(24)) / 24).quantize(Decimal("0.01")),
        timestamp=at,
    )


events = st.lists(
    st.builds(
        analysed,
        # Ages around the limits of an hour and a day, and times slightly in the future.
        st.sampled_from([-9.9, -1, 0, 0.2, 0.4, 1, 59, 59.3, 59.4, 60, 61, 1439.3, 1440, 9999])
        | st.floats(-9, 3000),
        st.sampled_from(Sentiment),
        st.lists(st.sampled_from([f"t{number}" for number in range(40)]), unique=True, max_size=9)
        .map(tuple),
    ),
    max_size=60,
)  # fmt: skip


@PATIENT
@given(events, st.integers(0, 60), st.integers(0, 90))
def test_the_fold_equals_a_recount_with_a_restart_at_any_point(
    events: list[ItemAnalysed], cut: int, later: int
) -> None:
    at = NOW + timedelta(minutes=later)
    halfway = MetricsView.decode(fold(events[:cut]).encode())
    assert fold(events[cut:], halfway).metrics(at) == recount(events, at)


@PATIENT
@given(events, st.randoms())
def test_the_order_of_items_does_not_matter(events: list[ItemAnalysed], rng: random.Random) -> None:
    shuffled = rng.sample(events, len(events))
    assert fold(events).metrics(NOW) == fold(shuffled).metrics(NOW)


def test_items_with_a_future_time_count_from_that_time() -> None:
    view = fold([analysed(-5)])
    assert view.metrics(NOW).last_hour == 0
    assert view.metrics(NOW + timedelta(minutes=5)).last_hour == 1
    assert view.metrics(NOW + timedelta(minutes=64)).last_hour == 1
    assert view.metrics(NOW + timedelta(minutes=65)).last_hour == 0


def test_rates_fall_without_new_items() -> None:
    view = fold([analysed()] * 48)
    assert view.metrics(NOW).per_hour == 2
    later = view.metrics(NOW + timedelta(hours=23))
    assert (later.last_hour, later.last_day) == (0, 48)
    assert view.metrics(NOW + timedelta(hours=24)).last_day == 0


def test_old_items_count_in_the_total_and_not_in_recent_rates() -> None:
    view = fold([analysed(60 * 24 * 365)] * 100)
    counted = view.metrics(NOW)
    assert (counted.total, counted.last_day) == (100, 0)


@pytest.mark.parametrize(
    "when",
    [
        datetime(2026, 3, 2, 14, 30),  # noqa: DTZ001
        datetime.min,  # noqa: DTZ901
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime(1, 1, 1, tzinfo=UTC),
    ],
)
def test_any_stored_timestamp_is_accepted(when: datetime) -> None:
    """Another program may have appended an event with such a time."""
    odd = analysed()
    view = fold([replace(odd, item=replace(odd.item, timestamp=when)), analysed()])
    assert MetricsView.decode(view.encode()).metrics(NOW).total == 2
    assert view.metrics(NOW).last_hour == 1 + (when.year == NOW.year)


def test_tags_beyond_the_limit_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_TRACKED_TAGS", 2)
    view = fold([analysed(tags=("a", "b", "c")), analysed(tags=("c", "b")), analysed(tags=("d",))])
    counted = MetricsView.decode(view.encode()).metrics(NOW)
    assert [(one.tag, one.count) for one in counted.tags] == [("b", 2), ("a", 1)]
    assert counted.other_tags == 3


def test_the_view_keeps_the_minutes_of_one_day() -> None:
    view = fold([analysed(minutes) for minutes in range(5000, 0, -1)])
    assert len(view._items_per_minute) == RETAINED_MINUTES


def test_the_largest_possible_view_fits_into_a_checkpoint() -> None:
    view = MetricsView()
    for number in range(metrics.MAX_TRACKED_TAGS + 10):
        view.apply(analysed(number, tags=("\U0001f600" * 36 + f"{number:04}",)))
    assert len(view.encode()) < LARGEST_BYTES
