"""The route table, and how event types of other packages are added to its routes."""

from decimal import Decimal
from typing import Any

import pytest

from tapewire.events import CATALOGUE, BadDeclaration, Catalogue, Delivery, Event, event, upcast
from tapewire_services.edge.delivery.stream_routes import (
    STREAM_ROUTES,
    StreamRoute,
    build_stream_routes,
)
from tapewire_services.edge.delivery.topics import SELECTABLE_TOPICS, combine_topics
from tapewire_services.edge.http.stream_docs import merge_message_types


class LoanMade(Event, frozen=True, kw_only=True):
    amount: Decimal


class Rate(Event, frozen=True, kw_only=True):
    percent: Decimal


def table(**declared: Any) -> dict[str, StreamRoute]:
    """Return the routes by name, with `Made` declared by these arguments."""
    catalogue = Catalogue()
    event("loan.made", **{"version": 2, "domain": "loans", **declared}, catalogue=catalogue)(
        LoanMade
    )
    upcast("loan.made", version=1, catalogue=catalogue)(lambda fields: fields)
    event("loan.rate", delivery=Delivery.NEWEST_WINS, sse="loan:rate", catalogue=catalogue)(Rate)
    return {route.name: route for route in build_stream_routes(catalogue)}


def test_all_versions_of_an_event_type_are_added_to_its_named_streams() -> None:
    found = table(sse="loan:made", streams=("orders",))
    assert found["orders"].declared_event_tags == {"loan.made.v1", "loan.made.v2"}
    assert found["trading"].declared_event_tags == set()
    assert combine_topics(found["orders"].topics).own_domains == {"orders", "trades"}


def test_a_value_type_is_added_as_a_value() -> None:
    found = table(sse="loan:made")
    assert found["trading"].declared_value_tags == {"loan.rate.v1"}
    assert found["trading"].declared_event_tags == {"loan.made.v1", "loan.made.v2"}
    assert found["orders"].declared_value_tags == set()


def test_a_type_without_an_sse_name_is_added_to_no_stream() -> None:
    assert all(not route.declared_event_tags for route in table().values())


@pytest.mark.parametrize("stream", ["loans", "prices", ""])
def test_a_stream_that_does_not_accept_the_type_is_rejected(stream: str) -> None:
    with pytest.raises(BadDeclaration, match=rf"loan\.made\.v2 .* '{stream}'; it can be on: or"):
        table(sse="loan:made", streams=("trading", stream))


def test_an_empty_catalogue_leaves_the_routes_unchanged() -> None:
    assert list(build_stream_routes(Catalogue())) == list(STREAM_ROUTES)


UNSELECTABLE_DOMAINS = {
    "executions": "for operators: see `tapewire parked`",
    "keys": "records of idempotency keys, which nobody sees",
    "reports": "of other programs, on the strategy streams; no list has them",
}


def test_everything_that_is_stored_of_a_user_has_a_topic() -> None:
    """Otherwise a page would not learn what was done in another tab."""
    owned = {
        kind.domain
        for kind in CATALOGUE.event_types()
        if kind.package == "tapewire" and (kind.subject_template or "").startswith("ev.{user}.")
    }
    selectable = combine_topics(SELECTABLE_TOPICS.values()).own_domains
    assert owned - selectable == UNSELECTABLE_DOMAINS.keys()


def test_all_that_fixed_routes_show_can_be_selected() -> None:
    selectable = combine_topics(SELECTABLE_TOPICS.values())
    for route in STREAM_ROUTES:
        interest = combine_topics(route.topics)
        assert interest.own_domains <= selectable.own_domains | {"reports"}, route.name
        assert interest.shared_domains <= selectable.shared_domains, route.name
        assert interest.live_values <= selectable.live_values, route.name


def test_no_two_sse_events_of_a_combination_of_topics_share_a_name_and_differ() -> None:
    """Those with two say which they are: snapshots, and the status without private fields."""
    [route] = [route for route in STREAM_ROUTES if route.path == "/api/stream"]
    ambiguous = {name for name, types in merge_message_types(route).items() if len(types) > 1}
    assert ambiguous == {"agent:status", "order:update", "position:update", "price:update"}
