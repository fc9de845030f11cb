"""SSE frames: bytes that every parser reads in the same way."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.events import CATALOGUE, CODEC, Event
from tapewire.log import EventMetadata, RecordedEvent
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.frames import FrameEncoder, render_frame, render_retry
from tapewire_services.edge.delivery.serializers import EmptyPricingContext
from tapewire_services.edge.delivery.serializers.trading import serialize_trading
from tapewire_services.edge.delivery.serializers.trading_views import price_view
from tests.harness.publishers import (
    hidden_event,
    make_quote,
    order_accepted,
    order_filled,
    order_placed,
    order_rejected,
    trade_executed,
)
from tests.harness.sse import parse_frame

BREAKERS = "\r\n\u2028\u2029\u0085\0\x0b\x0c\ufeff: "


def test_a_frame_with_an_id() -> None:
    made = render_frame("order:update", {"qty": Decimal("1.50")}, Cursor("e5", 7))
    assert made == b'event: order:update\ndata: {"qty":1.50}\nid: e5-7\nretry: 5000\n\n'


def test_a_frame_without_an_id() -> None:
    made = render_frame("price:update", {}, retry_ms=250)
    assert made == b"event: price:update\ndata: {}\nretry: 250\n\n"


def test_a_retry_frame() -> None:
    assert render_retry(1500) == b"retry: 1500\n\n"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.text(BREAKERS),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.text(BREAKERS), inner),
    )
)
def test_any_payload_is_one_line_and_parses_to_itself(payload: object) -> None:
    made = render_frame("x", payload, Cursor("e5", 1))
    assert made.endswith(b"\n\n")
    assert made.count(b"\n") == 5
    read = parse_frame(made[:-2])
    assert json.loads(json.dumps(read.data, default=str)) == json.loads(json.dumps(payload))


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (order_placed(), "order:update"),
        (order_accepted(), "order:update"),
        (order_rejected(), "order:update"),
        (order_filled("o", "1", "2"), "order:fill"),
        (trade_executed("o", "1", "2"), "trade:new"),
    ],
)
def test_the_trading_serializer_names_each_event(event: Event, name: str) -> None:
    message = serialize_trading(event, "alice", EmptyPricingContext())
    assert message is not None
    assert message[0] == name


def test_the_trading_serializer_omits_other_events() -> None:
    assert serialize_trading(hidden_event(), "alice", EmptyPricingContext()) is None
    assert serialize_trading(make_quote("IBM"), "alice", EmptyPricingContext()) is None


def test_a_fill_payload_has_the_fields_of_the_order_and_the_fill() -> None:
    event = order_filled("o", "3", "12.25")
    spoken = serialize_trading(event, "alice", EmptyPricingContext())
    assert spoken is not None
    data = CODEC.decode(CODEC.encode(spoken[1]), dict)
    order = CODEC.decode(CODEC.encode(event.order), dict)
    assert data == {**order, "fillQty": 3, "fillPrice": Decimal("12.25"), "tradeId": "o-1"}


def test_a_price_update_has_no_sizes() -> None:
    assert b"ize" not in CODEC.encode(price_view(make_quote("IBM")))


def recorded(
    event: Event, sequence: int = 1, tag: str | None = None, data: bytes | None = None
) -> RecordedEvent:
    return RecordedEvent(
        sequence=sequence,
        subject="ev.alice.orders.o",
        tag=tag or CATALOGUE.tag_of(type(event)),
        data=data or CODEC.encode(event),
        metadata=EventMetadata(id="i", correlation="c"),
        time=order_placed().order.timestamp,
    )


class TestFrameEncoder:
    def test_a_frame_is_rendered_once_for_all_readers(self) -> None:
        encoder = FrameEncoder(lambda *_: None)
        event = recorded(order_placed())
        first = encoder.encode(event, "e5", serialize_trading)
        assert first is not None
        assert encoder.encode(event, "e5", serialize_trading) is first

    def test_the_id_is_the_epoch_and_the_sequence(self) -> None:
        encoder = FrameEncoder(lambda *_: None, retry_ms=750)
        made = encoder.encode(recorded(order_placed(), 42), "e5", serialize_trading)
        assert made is not None
        assert made.endswith(b"\nid: e5-42\nretry: 750\n\n")

    def test_events_that_the_serializer_omits_have_no_frame(self) -> None:
        assert (
            FrameEncoder(lambda *_: None).encode(recorded(hidden_event()), "e5", serialize_trading)
            is None
        )

    @pytest.mark.parametrize(
        ("tag", "data"), [("order.placed.v99", b"{}"), ("order.placed.v1", b"{")]
    )
    def test_an_unreadable_event_is_reported_once_and_skipped(self, tag: str, data: bytes) -> None:
        reported = []
        encoder = FrameEncoder(lambda event, error: reported.append((event, error)))
        event = recorded(order_placed(), tag=tag, data=data)
        for _ in range(2):
            assert encoder.encode(event, "e5", serialize_trading) is None
        assert [event_ for event_, _ in reported] == [event]
