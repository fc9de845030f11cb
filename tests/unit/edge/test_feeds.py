"""The table, and how types of other packages join its rows."""

from decimal import Decimal
from typing import Any

import pytest

from services.edge.feeds import FEEDS, Feed, feeds, interest
from tapewire.events import BadDeclaration, Catalogue, Delivery, Event, event, upcast


class Made(Event, frozen=True, kw_only=True):
    amount: Decimal


class Rate(Event, frozen=True, kw_only=True):
    percent: Decimal


def table(**declared: Any) -> dict[str, Feed]:
    """The rows, by name, when `Made` is declared so."""
    catalogue = Catalogue()
    event("loan.made", **{"version": 2, "domain": "loans", **declared}, into=catalogue)(Made)
    upcast("loan.made", version=1, into=catalogue)(lambda fields: fields)
    event("loan.rate", delivery=Delivery.NEWEST_WINS, sse="loan:rate", into=catalogue)(Rate)
    return {feed.name: feed for feed in feeds(catalogue)}


def test_a_type_joins_the_streams_that_it_names_in_all_its_versions() -> None:
    found = table(sse="loan:made", streams=("orders",))
    assert found["orders"].tags == {"loan.made.v1", "loan.made.v2"}
    assert found["trading"].tags == set()
    assert interest(found["orders"].topics).own == {"orders", "trades"}


def test_a_value_joins_as_a_value() -> None:
    found = table(sse="loan:made")
    assert found["trading"].values == {"loan.rate.v1"}
    assert found["trading"].tags == {"loan.made.v1", "loan.made.v2"}
    assert found["orders"].values == set()


def test_a_type_that_is_not_shown_joins_nothing() -> None:
    assert all(not feed.tags for feed in table().values())


@pytest.mark.parametrize("stream", ["loans", "prices", ""])
def test_a_stream_that_cannot_show_it_is_refused(stream: str) -> None:
    with pytest.raises(BadDeclaration, match=rf"loan\.made\.v2 .* on '{stream}'; it can be on: or"):
        table(sse="loan:made", streams=("trading", stream))


def test_without_other_packages_the_table_is_as_it_is_written() -> None:
    assert list(feeds(Catalogue())) == list(FEEDS)
