"""The decisions of a reader, as tables: ids, delays, responses, addresses, prices, tokens."""

import base64
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tapewire.sse.errors import (
    AnotherUserSignedIn,
    SignedOut,
    StreamEnded,
    StreamLimitReached,
    StreamRejected,
)
from tapewire.sse.protocol import addresses, delays, outcomes
from tapewire.sse.protocol.outcomes import FINAL_EVENTS as CLIENT_TABLE
from tapewire.sse.protocol.outcomes import RefusedForGood, RequestFailed
from tapewire.sse.protocol.position import is_news
from tapewire.sse.protocol.price_silence import PriceSilence
from tapewire.sse.protocol.quote_order import QuoteOrderFilter
from tapewire.sse.protocol.stale_symbols import StaleSymbols
from tapewire.sse.protocol.token_expiry import read_expiry, renewal_delay
from tapewire.values import InvalidArgument
from tapewire_services.edge.delivery.serializers.control_messages import (
    FINAL_EVENTS as SERVER_TABLE,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event_id", "position", "expected"),
    [
        ("e-1", "", True),
        ("e-10", "e-9", True),
        ("e-9", "e-9", False),
        ("e-9", "e-10", False),
        ("f-1", "e-10", True),
        ("a-b-18446744073709551615", "a-b-18446744073709551614", True),
        ("x", "x", False),
        ("x", "e-1", True),
        ("17", "e-18", True),
        ("e-" + "9" * 5000, "e-1", True),
    ],
)
def test_an_id_is_new_if_it_is_later_or_cannot_be_compared(
    event_id: str, position: str, expected: bool
) -> None:
    assert is_news(event_id, position) is expected


def test_after_a_clean_end_the_delay_is_the_servers_retry_within_bounds() -> None:
    waits = [delays.delay_after_end(retry) for retry in (5.0, 0.0, 1e9)]
    assert waits == [5.0, 0.1, 600.0]


def test_failures_double_the_delay_up_to_a_limit() -> None:
    waits = [delays.delay_after_failure(n, 3.0, 0.0, 0.0) for n in (1, 2, 3, 4, 5, 10_000)]
    assert waits == [3, 6, 12, 20, 20, 20]
    assert delays.delay_after_failure(99, 5.0, 0.0, 0.999_999) == pytest.approx(30, abs=0.001)


def test_a_long_retry_and_retry_after_are_honoured_after_failures() -> None:
    assert delays.delay_after_failure(1, 45.0, 0.0, 0.0) == 45.0
    assert delays.delay_after_failure(1, 5.0, 30.0, 0.0) == 30.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10.0),
        ("Fri, 02 Jan 2026 03:04:00 GMT", 0.0),
        ("99999999", 600.0),
        ("-1", 0.0),
        ("soon", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float) -> None:
    assert delays.parse_retry_after(header, NOW) == seconds


def classify(status: int, body: object = None, **headers: str) -> RequestFailed | RefusedForGood:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return outcomes.classify_response(status, named, text, NOW)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_temporary_refusal_is_a_failure_with_its_delay(status: int) -> None:
    body = {"error": "Busy", "message": "too many"}
    assert classify(status, body, retry_after="12") == RequestFailed(f"{status} too many", 12.0)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, "Unauthorized", SignedOut),
        (403, "Forbidden", StreamRejected),
        (404, "Not Found", StreamRejected),
        (409, "account_changed", AnotherUserSignedIn),
        (409, "Conflict", StreamRejected),
        (422, "Unprocessable", StreamRejected),
        (307, "Moved", StreamRejected),
    ],
)
def test_a_refusal_for_good_has_its_error(status: int, error: str, kind: type[StreamEnded]) -> None:
    outcome = classify(status, {"error": error, "message": "no", "path": "since", "value": 7})
    assert isinstance(outcome, RefusedForGood)
    assert type(outcome.error) is kind
    if isinstance(outcome.error, StreamRejected):
        found = outcome.error
        assert (found.status_code, found.error, found.path, found.value) == (
            status, error, "since", 7
        )  # fmt: skip


def test_a_redirect_says_where_it_leads() -> None:
    outcome = classify(302, None, location="https://login.example/")
    assert isinstance(outcome, RefusedForGood)
    assert str(outcome.error) == "302 the answer is a redirect to https://login.example/"


@pytest.mark.parametrize("body", [b"<p>Bad gateway", b"[1]", b'{"message":7}', b"[" * 10_000, b""])
def test_the_page_of_a_proxy_is_an_error_too(body: bytes) -> None:
    assert classify(502, body) == RequestFailed("502 Status 502")


def test_no_content_is_the_end_of_a_replay() -> None:
    assert classify(204, b"") == RefusedForGood(None)


def test_another_document_is_a_failure() -> None:
    assert classify(200, b"", content_type="text/html") == RequestFailed(
        "the answer is text/html, no stream"
    )


def test_the_client_has_the_same_final_events_as_the_server() -> None:
    server = {name: action.value for name, action in SERVER_TABLE.items()}
    assert {name: action.value for name, action in CLIENT_TABLE.items()} == server


def test_final_events_have_errors() -> None:
    limit = outcomes.error_after("connection:limit", {"limit": 10})
    assert isinstance(limit, StreamLimitReached)
    assert limit.limit == 10
    assert isinstance(outcomes.error_after("auth:expired", "odd"), SignedOut)
    assert outcomes.error_after("order:update", {}) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://h/s", "http://h/s?lastEventId=e-7"),
        ("http://h/s?", "http://h/s?lastEventId=e-7"),
        ("http://h/s?topics=orders,prices:A%26B", "http://h/s?topics=orders,prices:A%26B&lastEventId=e-7"),
        ("http://h/s?lastEventId=e-1&maxRate=2", "http://h/s?maxRate=2&lastEventId=e-7"),
        ("http://h/s?last_event_id=e-1", "http://h/s?lastEventId=e-7"),
        ("http://h/s?a=b?c", "http://h/s?a=b?c&lastEventId=e-7"),
    ],
)  # fmt: skip
def test_the_query_of_a_resumed_stream_has_the_id(given: str, expected: str) -> None:
    assert addresses.resume_url(given, "e-7") == expected


@pytest.mark.parametrize(
    "url", ["", "edge:80/api", "ftp://h/x", "http://", "http://h:0/", "http://h:x/", "http://a b"]
)  # fmt: skip
def test_a_url_of_no_stream_is_an_error(url: str) -> None:
    with pytest.raises(InvalidArgument, match="url=") as error:
        addresses.check_url(url)
    assert (error.value.field, error.value.value) == ("url", url)


def test_the_fragment_of_a_url_is_dropped() -> None:
    assert addresses.check_url("http://h/s?a=1#top") == "http://h/s?a=1"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("e-7", "e-7"),
        ("2026-03-02T14:30:00Z", "2026-03-02T14:30:00Z"),
        (datetime(2026, 3, 2, 14, 30), "2026-03-02T14:30:00+00:00"),  # noqa: DTZ001
        (
            datetime(2026, 3, 2, 14, 30, tzinfo=timezone(timedelta(hours=2))),
            "2026-03-02T14:30:00+02:00",
        ),
    ],
)
def test_a_place_of_the_past_is_a_time_or_an_id(place: Any, expected: str) -> None:
    assert addresses.format_place("since", place) == expected


@pytest.mark.parametrize("place", ["", "last week", 7, None, "e-7\r\n", "x" * 201])
def test_another_place_is_an_error(place: Any) -> None:
    with pytest.raises(InvalidArgument, match="since="):
        addresses.format_place("since", place)


@pytest.mark.parametrize(
    ("url", "content", "expected"),
    [
        (
            "http://h/api/stream?topics=orders,prices&maxRate=3",
            {"topics": ["orders", "prices"], "symbols": ["IBM", "A&B"], "maxRate": 2},
            "http://h/api/stream?topics=orders%2Cprices%3AIBM%2Cprices%3AA%26B&maxRate=2",
        ),
        (
            "http://h/api/stream/prices?symbols=IBM&x=1",
            {"topics": ["prices"], "symbols": None, "maxRate": 10},
            "http://h/api/stream/prices?x=1&maxRate=10",
        ),
        (
            "http://h/sse/prices",
            {"topics": ["prices"], "symbols": ["BRK.B"], "max_rate": 0.5},
            "http://h/sse/prices?symbols=BRK.B&maxRate=0.5",
        ),
        ("http://h/s?x=1", "no content", "http://h/s?x=1"),
    ],
)
def test_a_changed_stream_is_asked_for_with_its_new_content(
    url: str, content: Any, expected: str
) -> None:
    assert addresses.replace_content(url, content) == expected


@pytest.mark.parametrize(
    ("greeting", "first"),
    [
        (("connected", {"pricesKeepaliveMs": 1000}), "price:stale"),
        (("CONNECTED", {"prices_keepalive_ms": 1000}), "PRICE_UPDATE"),
    ],
)
def test_a_stream_with_prices_counts_as_silent_after_three_intervals(
    greeting: tuple[str, Any], first: str
) -> None:
    silence = PriceSilence()
    silence.receive_event(*greeting, 0.0)
    assert silence.silent_from == math.inf
    silence.receive_event(first, {"symbol": "IBM"}, 1.0)
    silence.receive_bytes(2.0)
    assert silence.silent_from == 5.0
    silence.forget()
    assert silence.silent_from == math.inf


@pytest.mark.parametrize("data", [{}, None, "x", {"pricesKeepaliveMs": "soon"}])
def test_a_stream_without_an_interval_is_never_silent(data: Any) -> None:
    silence = PriceSilence()
    silence.receive_event("connected", data, 0.0)
    silence.receive_event("price:update", {}, 0.0)
    assert silence.silent_from == math.inf


def quote(price: int, second: float, symbol: str = "IBM", **more: Any) -> dict[str, Any]:
    at = NOW + timedelta(seconds=second)
    return {"symbol": symbol, "price": price, "timestamp": at.isoformat(), **more}


def test_after_a_change_of_connections_an_older_quote_is_dropped_for_a_while() -> None:
    quotes = QuoteOrderFilter()
    assert quotes.filter("price:update", quote(103, 4), 0.0) == quote(103, 4)
    assert quotes.filter("price:update", quote(99, 1), 0.0) == quote(99, 1)  # one connection
    assert quotes.filter("price:update", quote(103, 4), 0.0) == quote(103, 4)
    quotes.change_connection(1.0)
    assert quotes.filter("price:update", quote(100, 2), 1.0) is None
    assert quotes.filter("price:update", quote(90, 2, "SPY"), 1.0) == quote(90, 2, "SPY")
    assert quotes.filter("price:update", quote(101, 2), 6.0) == quote(101, 2)


def test_a_quote_dated_far_ahead_holds_no_later_one_back() -> None:
    quotes = QuoteOrderFilter()
    quotes.filter("price:update", quote(150, 60), 0.0)
    quotes.change_connection(0.0)
    assert quotes.filter("price:update", quote(90, 3), 0.0) == quote(90, 3)


def test_an_older_quote_in_a_list_is_replaced_and_as_stale_as_the_server_says() -> None:
    quotes = QuoteOrderFilter()
    quotes.filter("price:update", quote(103, 4, age=0.5), 0.0)
    quotes.change_connection(0.0)
    data = {"initializing": True, "prices": [quote(100, 2, age=9, stale=True)]}
    filtered = quotes.filter("price:update", data, 0.0)
    assert filtered["prices"] == [quote(103, 4, age=9, stale=True)]


@pytest.mark.parametrize(
    "data", [None, "x", 7, [], {"symbol": 7}, {"prices": ["x", None]}, {"symbol": "IBM"},
             {"symbol": "IBM", "timestamp": "later"}]
)  # fmt: skip
def test_odd_quotes_pass(data: Any) -> None:
    quotes = QuoteOrderFilter()
    quotes.filter("price:update", quote(103, 4), 0.0)
    quotes.change_connection(0.0)
    assert quotes.filter("price:update", data, 0.0) == data


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([("price:stale", {"symbol": "IBM"})], {"IBM"}),
        ([("PRICE_STALE", {"symbol": "IBM"}), ("PRICE_UPDATE", {"symbol": "SPY"})], {"IBM"}),
        ([("price:stale", {"symbol": "IBM"}), ("price:update", {"symbol": "IBM"})], set()),
        (
            [
                ("price:stale", {"symbol": "OLD"}),
                ("price:update", {"initializing": True, "prices": [
                    {"symbol": "IBM", "stale": True}, {"symbol": "SPY", "stale": False}]}),
            ],
            {"IBM"},
        ),
        (
            [
                ("position:update", {"positions": [{"symbol": "IBM", "stale": True}]}),
                ("position:update", {"positions": [{"symbol": "SPY", "stale": True}]}),
                ("position:update", {"positions": [{"symbol": "IBM"}]}),
            ],
            {"SPY"},
        ),
        (
            [("price:stale", None), ("price:update", {"prices": 7}), ("price:stale", {"symbol": 7}),
             ("position:update", {}), ("order:update", {"symbol": "IBM", "stale": True})],
            set(),
        ),
    ],
)  # fmt: skip
def test_the_symbols_that_the_server_calls_stale(
    events: list[tuple[str, Any]], expected: set[str]
) -> None:
    stale = StaleSymbols()
    for event_type, data in events:
        stale.receive_event(event_type, data)
    assert stale.symbols == expected


def make_token(claims: object) -> str:
    text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{text}.signature"


def test_the_expiry_of_a_jwt_is_read() -> None:
    assert read_expiry(make_token({"exp": 1_700_000_000})) == 1_700_000_000.0


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b.c", "a.!!.c", make_token([1]), make_token({"exp": "soon"}),
              "a." + base64.b64encode(b"\xff").decode() + ".c"]
)  # fmt: skip
def test_another_token_does_not_say_when_it_ends(token: str) -> None:
    assert read_expiry(token) == math.inf


def test_a_token_is_renewed_before_it_ends() -> None:
    assert renewal_delay(3600, 0) == 3570
    assert renewal_delay(30, 0) == 20
    assert renewal_delay(100, 200) == 0
