"""Naming events, refusing clashes, and lifting old versions, on a catalogue of its own."""

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tapewire.events import (
    CATALOGUE,
    CODEC,
    BadDeclaration,
    Catalogue,
    CatalogueClash,
    Delivery,
    Event,
    SseBinding,
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
    event("money.moved", version=3, catalogue=catalogue)(Moved)

    @upcast("money.moved", version=1, catalogue=catalogue)
    def _named(fields: dict[str, Any]) -> dict[str, Any]:
        amount = Decimal(fields.pop("sum"))
        return {**fields, "amount": amount}

    @upcast("money.moved", version=2, catalogue=catalogue)
    def _with_currency(fields: dict[str, Any]) -> dict[str, Any]:
        return {"currency": "USD", **fields}

    return catalogue


MOVED = Moved(account="a-1", amount=Decimal("10.50"), currency="USD")


def test_a_struct_is_stored_under_its_tag(catalogue: Catalogue) -> None:
    assert catalogue.tag_of(Moved) == "money.moved.v3"
    assert catalogue.struct_for_tag("money.moved.v3") is Moved


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
    assert catalogue.struct_for_tag(tag) is Moved


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
        event("money.moved", version=3, catalogue=catalogue)(Closed)


def test_one_struct_cannot_have_two_tags(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash, match=r"Moved is already 'money\.moved\.v3'"):
        event("money.moved", version=4, catalogue=catalogue)(Moved)


def test_a_version_with_an_upcast_cannot_be_current(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash, match=r"money\.moved\.v1"):
        event("money.moved", version=1, catalogue=catalogue)(Closed)


@pytest.mark.parametrize("version", [1, 3])
def test_a_version_cannot_be_upcast_twice_nor_when_it_is_current(
    catalogue: Catalogue, version: int
) -> None:
    with pytest.raises(CatalogueClash, match=rf"money\.moved\.v{version}"):
        upcast("money.moved", version=version, catalogue=catalogue)(lambda fields: fields)


def test_a_clash_leaves_the_catalogue_as_it_was(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash):
        event("money.moved", version=3, catalogue=catalogue)(Closed)
    event("account.closed", catalogue=catalogue)(Closed)
    assert catalogue.tag_of(Closed) == "account.closed.v1"
    assert catalogue.tag_of(Moved) == "money.moved.v3"


@pytest.mark.parametrize("tag", ["money.moved.v4", "money.lost.v1", "", "money.moved"])
def test_an_unknown_tag_says_which_and_what_to_do(catalogue: Catalogue, tag: str) -> None:
    with pytest.raises(UnknownType, match="import the package") as caught:
        catalogue.decode(tag, b"{}")
    assert caught.value.tag == tag


def test_an_upcast_to_a_version_that_is_not_there_is_unknown() -> None:
    catalogue = Catalogue()
    upcast("money.moved", version=1, catalogue=catalogue)(lambda fields: fields)
    with pytest.raises(UnknownType, match=r"money\.moved\.v2"):
        catalogue.decode("money.moved.v1", b"{}")


def test_a_struct_without_a_name_has_no_tag(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownType, match="Closed"):
        catalogue.tag_of(Closed)


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


def test_a_declaration_says_where_a_type_lives_and_how_it_is_shown(catalogue: Catalogue) -> None:
    event("account.closed", domain="accounts", sse="account:closed", catalogue=catalogue)(Closed)
    kind = catalogue.type_for_tag("account.closed.v1")
    assert (kind.tag, kind.subject_template) == (
        "account.closed.v1",
        "ev.{owner}.accounts.{entity}",
    )
    assert kind.sse_binding == SseBinding(event_name="account:closed", streams=("trading",))
    assert catalogue.type_of(Closed) is kind
    assert kind in catalogue.event_types()


def test_an_old_version_is_declared_as_its_current_one(catalogue: Catalogue) -> None:
    assert catalogue.type_for_tag("money.moved.v1") is catalogue.type_for_tag("money.moved.v3")


def test_a_newest_wins_type_is_a_value_and_no_event_of_the_journal(catalogue: Catalogue) -> None:
    event("fx.rate", delivery=Delivery.NEWEST_WINS, sse="fx:rate", catalogue=catalogue)(Closed)
    kind = catalogue.type_of(Closed)
    assert kind.domain is None
    assert kind.subject_template == "val.{owner}.fx.rate.v1.{entity}"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "Loan"}, "'Loan' names no event"),
    ({"name": "loan"}, "'loan' names no event"),
    ({"name": "loan.made.>"}, "names no event"),
    ({"version": 0}, "versions begin with 1, not 0"),
    ({"domain": "lo.ans"}, "domain 'lo.ans' is no word"),
    ({"domain": ""}, "domain '' is no word"),
    ({"domain": "loans", "sse": "made"}, "sse 'made' must be like"),
    ({"domain": "loans", "sse": "loan:made\nid: 7"}, "must be like"),
    ({"domain": "loans", "sse": "order:update"}, "one of Tapewire's own"),
    ({"domain": "loans", "sse": "loan:made", "streams": ()}, "shown on no stream"),
    ({"domain": "loans", "sse": "loan:made", "streams": "trading"}, "not the text 'trading'"),
    ({"sse": "loan:made"}, "needs a domain"),
    ({"domain": "loans", "delivery": Delivery.NEWEST_WINS}, "a newest-wins value has no domain"),
]


@pytest.mark.parametrize(("declared", "why"), BAD)
def test_what_cannot_be_declared_is_refused_with_its_reason(
    catalogue: Catalogue, declared: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadDeclaration, match=re.escape(why)):
        event(**{"name": "loan.made", **declared}, catalogue=catalogue)(Closed)
    event("loan.made", catalogue=catalogue)(Closed)  # nothing was left behind


def test_only_events_can_be_declared(catalogue: Catalogue) -> None:
    with pytest.raises(BadDeclaration, match="no subclass of"):
        event("loan.made", catalogue=catalogue)(dict)  # type: ignore[type-var]


class TestPackages:
    """A domain, and an SSE name, belong to the package that declared them first."""

    @staticmethod
    def struct(package: str) -> type[Event]:
        made = msgspec.defstruct("Made", [], bases=(Event,), frozen=True, module=f"{package}.made")
        assert issubclass(made, Event)
        return made

    def test_a_domain_of_another_package_is_taken(self, catalogue: Catalogue) -> None:
        event("loan.made", domain="loans", catalogue=catalogue)(self.struct("bank"))
        with pytest.raises(CatalogueClash, match="'loans' belongs to the package 'bank'"):
            event("loan.sold", domain="loans", catalogue=catalogue)(self.struct("broker"))
        event("loan.paid", domain="loans", catalogue=catalogue)(self.struct("bank.later"))

    def test_a_name_of_another_package_is_taken(self, catalogue: Catalogue) -> None:
        event("loan.made", domain="loans", sse="loan:made", catalogue=catalogue)(
            self.struct("bank")
        )
        with pytest.raises(CatalogueClash, match=r"SSE name 'loan:made' belongs to loan\.made\.v1"):
            event("deal.made", domain="deals", sse="loan:made", catalogue=catalogue)(
                self.struct("broker")
            )

    @pytest.mark.parametrize("domain", ["orders", "trades", "reports", "strategies"])
    def test_tapewires_own_domains_are_taken(self, domain: str) -> None:
        with pytest.raises(CatalogueClash, match="belongs to the package 'tapewire'"):
            event("loan.made", domain=domain)(self.struct("bank"))
        assert "loan.made.v1" not in CATALOGUE.tags()
