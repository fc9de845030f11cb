"""Naming events, refusing clashes, and lifting old versions, on a catalogue of its own."""

from decimal import Decimal
from typing import Any

import pytest

from tapewire.events import (
    CODEC,
    Catalogue,
    CatalogueClash,
    Event,
    Undecodable,
    UnknownType,
    event,
    upcast,
)


class Moved(Event, frozen=True, kw_only=True):
    """The third version: `amount` was once a text called `sum`, and had no currency."""

    account: str
    amount: Decimal
    currency: str


class Closed(Event, frozen=True, kw_only=True):
    account: str


@pytest.fixture
def catalogue() -> Catalogue:
    """Knows money.moved in three versions."""
    catalogue = Catalogue()
    event("money.moved", version=3, into=catalogue)(Moved)

    @upcast("money.moved", version=1, into=catalogue)
    def _named(fields: dict[str, Any]) -> dict[str, Any]:
        amount = Decimal(fields.pop("sum"))
        return {**fields, "amount": amount}

    @upcast("money.moved", version=2, into=catalogue)
    def _with_currency(fields: dict[str, Any]) -> dict[str, Any]:
        return {"currency": "USD", **fields}

    return catalogue


MOVED = Moved(account="a-1", amount=Decimal("10.50"), currency="USD")


def test_a_struct_is_stored_under_its_tag(catalogue: Catalogue) -> None:
    assert catalogue.tag(Moved) == "money.moved.v3"
    assert catalogue.struct("money.moved.v3") is Moved


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("money.moved.v1", b'{"account":"a-1","sum":"10.50"}'),
        ("money.moved.v2", b'{"account":"a-1","amount":10.50}'),
        ("money.moved.v3", b'{"account":"a-1","amount":10.50,"currency":"USD"}'),
    ],
)
def test_every_version_ever_written_becomes_the_current_one(
    catalogue: Catalogue, tag: str, data: bytes
) -> None:
    decoded = catalogue.decode(tag, data)
    assert decoded == MOVED
    assert CODEC.encode(decoded) == b'{"account":"a-1","amount":10.50,"currency":"USD"}'
    assert catalogue.struct(tag) is Moved


def test_an_upcast_does_not_touch_what_newer_versions_already_say(catalogue: Catalogue) -> None:
    decoded = catalogue.decode("money.moved.v2", b'{"account":"a","amount":1,"currency":"EUR"}')
    assert decoded == Moved(account="a", amount=Decimal(1), currency="EUR")


def test_all_versions_are_listed(catalogue: Catalogue) -> None:
    assert catalogue.tags() == ["money.moved.v1", "money.moved.v2", "money.moved.v3"]


def test_fields_of_a_newer_producer_are_passed_over(catalogue: Catalogue) -> None:
    data = b'{"account":"a-1","amount":10.50,"currency":"USD","memo":"rent"}'
    assert catalogue.decode("money.moved.v3", data) == MOVED


def test_two_structs_cannot_have_one_tag(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash, match=r"money\.moved\.v3.*Closed"):
        event("money.moved", version=3, into=catalogue)(Closed)


def test_one_struct_cannot_have_two_tags(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash, match=r"Moved is already 'money\.moved\.v3'"):
        event("money.moved", version=4, into=catalogue)(Moved)


def test_a_version_with_an_upcast_cannot_be_current(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash, match=r"money\.moved\.v1"):
        event("money.moved", version=1, into=catalogue)(Closed)


@pytest.mark.parametrize("version", [1, 3])
def test_a_version_cannot_be_upcast_twice_nor_when_it_is_current(
    catalogue: Catalogue, version: int
) -> None:
    with pytest.raises(CatalogueClash, match=rf"money\.moved\.v{version}"):
        upcast("money.moved", version=version, into=catalogue)(lambda fields: fields)


def test_a_clash_leaves_the_catalogue_as_it_was(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash):
        event("money.moved", version=3, into=catalogue)(Closed)
    event("account.closed", into=catalogue)(Closed)
    assert catalogue.tag(Closed) == "account.closed.v1"
    assert catalogue.tag(Moved) == "money.moved.v3"


@pytest.mark.parametrize("tag", ["money.moved.v4", "money.lost.v1", "", "money.moved"])
def test_an_unknown_tag_says_which_and_what_to_do(catalogue: Catalogue, tag: str) -> None:
    with pytest.raises(UnknownType, match="import the package") as caught:
        catalogue.decode(tag, b"{}")
    assert caught.value.tag == tag


def test_an_upcast_to_a_version_that_is_not_there_is_unknown() -> None:
    catalogue = Catalogue()
    upcast("money.moved", version=1, into=catalogue)(lambda fields: fields)
    with pytest.raises(UnknownType, match=r"money\.moved\.v2"):
        catalogue.decode("money.moved.v1", b"{}")


def test_a_struct_without_a_name_has_no_tag(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownType, match="Closed"):
        catalogue.tag(Closed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"account":"a-1"}',
        b'{"account":1,"amount":1,"currency":"USD"}',
        b'{"account":"a-1","amount":"much","currency":"USD"}',
        b'{"account":"a-1","amount":1,"currency":null}',
    ],
)
def test_bytes_that_do_not_fit_their_tag_are_undecodable(catalogue: Catalogue, data: bytes) -> None:
    with pytest.raises(Undecodable, match=r"money\.moved\.v3") as caught:
        catalogue.decode("money.moved.v3", data)
    assert caught.value.tag == "money.moved.v3"


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"account":"a-1","sum":null}', b'{"account":"a-1","sum":"much"}'],
)
def test_old_bytes_that_do_not_fit_are_undecodable_too(catalogue: Catalogue, data: bytes) -> None:
    """An upcast that stumbles over what it was given must not kill the reader of the log."""
    with pytest.raises(Undecodable, match=r"money\.moved\.v1"):
        catalogue.decode("money.moved.v1", data)
