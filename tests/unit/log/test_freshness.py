"""The rule that says whether a quote is fresh."""

from hypothesis import given
from hypothesis import strategies as st

from tapewire.log.freshness import DEFAULT_STALE_SECONDS, QuoteFreshness

LIMIT = 4.0


def test_a_symbol_is_stale_once_nothing_has_confirmed_it_for_the_limit() -> None:
    freshness = QuoteFreshness(LIMIT)
    assert freshness.confirm("IBM", 10.0)
    assert not freshness.is_stale("IBM", 13.9)
    assert freshness.next_expiry() == 14.0
    assert freshness.expire(13.9) == []
    assert freshness.is_stale("IBM", 14.0)
    assert freshness.expire(14.0) == ["IBM"]
    assert freshness.age("IBM", 15.0) == 5.0


def test_a_loss_of_sight_is_reported_once_and_again_after_the_next_quote() -> None:
    freshness = QuoteFreshness(LIMIT)
    freshness.confirm("IBM", 0.0)
    assert freshness.expire(9.0) == ["IBM"]
    assert freshness.expire(20.0) == []
    assert freshness.next_expiry() is None
    assert freshness.confirm("IBM", 30.0)
    assert not freshness.is_stale("IBM", 30.0)
    assert freshness.expire(34.0) == ["IBM"]


def test_a_confirmation_of_a_fresh_symbol_ends_nothing() -> None:
    freshness = QuoteFreshness(LIMIT)
    freshness.confirm("IBM", 0.0)
    assert not freshness.confirm("IBM", 3.9)
    assert freshness.expire(4.0) == []
    assert freshness.confirm("IBM", 7.9), "it was stale, though expire() was not called"


def test_a_stored_quote_is_stale_until_somebody_confirms_it() -> None:
    freshness = QuoteFreshness(LIMIT)
    freshness.add("IBM")
    assert freshness.is_stale("IBM", 0.0)
    assert freshness.age("IBM", 0.0) is None
    assert freshness.expire(99.0) == [], "it was never seen, so its sight was not lost"
    assert freshness.confirm("IBM", 100.0)
    freshness.add("IBM")
    assert not freshness.is_stale("IBM", 100.0)


def test_an_unknown_symbol_is_stale() -> None:
    assert QuoteFreshness(LIMIT).is_stale("NOPE", 0.0)
    assert QuoteFreshness(LIMIT).age("NOPE", 0.0) is None


def test_what_waited_while_the_server_stood_still_confirms_nothing() -> None:
    freshness = QuoteFreshness(LIMIT)
    freshness.confirm("IBM", 0.0)
    freshness.distrust_until(61.0)
    assert not freshness.confirm("IBM", 60.0)
    assert not freshness.confirm("SPY", 60.0)
    assert freshness.is_stale("IBM", 60.0)
    assert freshness.is_stale("SPY", 60.0)
    assert freshness.confirm("IBM", 61.0)
    assert not freshness.is_stale("IBM", 61.0)


def test_one_quiet_symbol_is_no_silent_market() -> None:
    freshness = QuoteFreshness(LIMIT, started_at=0.0)
    assert not freshness.is_silent(100.0), "a market without symbols is not silent"
    freshness.confirm("IBM", 100.0)
    freshness.confirm("SPY", 103.0)
    assert freshness.is_stale("IBM", 106.0)
    assert not freshness.is_silent(106.0)
    assert freshness.is_silent(107.0)


def test_a_process_that_has_just_started_does_not_call_the_market_silent() -> None:
    freshness = QuoteFreshness(LIMIT, started_at=50.0)
    freshness.add("IBM")
    assert not freshness.is_silent(53.9)
    assert freshness.is_silent(54.0)


def test_the_default_limit_is_four_seconds() -> None:
    assert QuoteFreshness().limit_seconds == DEFAULT_STALE_SECONDS == 4.0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["confirm", "add", "expire"]),
        st.sampled_from(["IBM", "SPY", "AIG"]),
        st.floats(0, 5, allow_nan=False),
    ),
    max_size=40,
)


@given(STEPS)
def test_it_agrees_with_the_time_of_each_symbols_last_confirmation(
    steps: list[tuple[str, str, float]],
) -> None:
    freshness, now = QuoteFreshness(LIMIT), 0.0
    confirmed: dict[str, float] = {}
    unreported: set[str] = set()
    for step, symbol, pause in steps:
        now += pause
        if step == "confirm":
            was_stale = symbol not in confirmed or now >= confirmed[symbol] + LIMIT
            assert freshness.confirm(symbol, now) is was_stale
            confirmed[symbol] = now
            unreported.add(symbol)
        elif step == "add":
            freshness.add(symbol)
        else:
            lost = {one for one in unreported if now >= confirmed[one] + LIMIT}
            assert set(freshness.expire(now)) == lost
            unreported -= lost
        for one in ("IBM", "SPY", "AIG"):
            is_stale = one not in confirmed or now >= confirmed[one] + LIMIT
            assert freshness.is_stale(one, now) is is_stale
            age = freshness.age(one, now)
            assert age == (None if one not in confirmed else now - confirmed[one])
        expiry = freshness.next_expiry()
        assert expiry == min((confirmed[one] + LIMIT for one in unreported), default=None)
