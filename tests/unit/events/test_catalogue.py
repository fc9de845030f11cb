"""Declaring event types, rejecting clashes and upcasting old versions, in a separate catalogue."""

import re
from decimal import Decimal
from typing import Any, cast

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


class MoneyMoved(Event, frozen=True, kw_only=True):
    """The third version. In earlier ones `amount` was a text named `sum`, and had no currency."""

    account: str
    amount: Decimal
    currency: str


class AccountClosed(Event, frozen=True, kw_only=True):
    account: str


@pytest.fixture
def catalogue() -> Catalogue:
    """A catalogue with three versions of money.moved."""
    catalogue = Catalogue()
    event("money.moved", version=3, catalogue=catalogue)(MoneyMoved)

    @upcast("money.moved", version=1, catalogue=catalogue)
    def _named(fields: dict[str, Any]) -> dict[str, Any]:
        amount = Decimal(fields.pop("sum"))
        return {**fields, "amount": amount}

    @upcast("money.moved", version=2, catalogue=catalogue)
    def _with_currency(fields: dict[str, Any]) -> dict[str, Any]:
        return {"currency": "USD", **fields}

    return catalogue


MOVED = MoneyMoved(account="a-1", amount=Decimal("10.50"), currency="USD")


def test_a_struct_is_stored_under_its_tag(catalogue: Catalogue) -> None:
    assert catalogue.tag_of(MoneyMoved) == "money.moved.v3"
    assert catalogue.struct_for_tag("money.moved.v3") is MoneyMoved


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("money.moved.v1", b'{"account":"a-1","sum":"10.50"}'),
        ("money.moved.v2", b'{"account":"a-1","amount":10.50}'),
        ("money.moved.v3", b'{"account":"a-1","amount":10.50,"currency":"USD"}'),
    ],
)
def test_every_stored_version_is_decoded_as_the_current_one(
    catalogue: Catalogue, tag: str, data: bytes
) -> None:
    decoded = catalogue.decode(tag, data)
    assert decoded == MOVED
    assert CODEC.encode(decoded) == b'{"account":"a-1","amount":10.50,"currency":"USD"}'
    assert catalogue.struct_for_tag(tag) is MoneyMoved


def test_an_upcast_keeps_fields_that_are_already_set(catalogue: Catalogue) -> None:
    decoded = catalogue.decode("money.moved.v2", b'{"account":"a","amount":1,"currency":"EUR"}')
    assert decoded == MoneyMoved(account="a", amount=Decimal(1), currency="EUR")


def test_all_versions_are_listed(catalogue: Catalogue) -> None:
    assert catalogue.tags() == ["money.moved.v1", "money.moved.v2", "money.moved.v3"]


def test_unknown_fields_are_ignored(catalogue: Catalogue) -> None:
    data = b'{"account":"a-1","amount":10.50,"currency":"USD","memo":"rent"}'
    assert catalogue.decode("money.moved.v3", data) == MOVED


def test_two_structs_cannot_have_one_tag(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash, match=r"money\.moved\.v3.*Closed"):
        event("money.moved", version=3, catalogue=catalogue)(AccountClosed)


def test_one_struct_cannot_have_two_tags(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash, match=r"Moved is already 'money\.moved\.v3'"):
        event("money.moved", version=4, catalogue=catalogue)(MoneyMoved)


def test_a_version_with_an_upcast_cannot_be_current(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash, match=r"money\.moved\.v1"):
        event("money.moved", version=1, catalogue=catalogue)(AccountClosed)


@pytest.mark.parametrize("version", [1, 3])
def test_a_version_cannot_be_upcast_twice_or_when_current(
    catalogue: Catalogue, version: int
) -> None:
    with pytest.raises(CatalogueClash, match=rf"money\.moved\.v{version}"):
        upcast("money.moved", version=version, catalogue=catalogue)(lambda fields: fields)


def test_a_clash_leaves_the_catalogue_unchanged(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueClash):
        event("money.moved", version=3, catalogue=catalogue)(AccountClosed)
    event("account.closed", catalogue=catalogue)(AccountClosed)
    assert catalogue.tag_of(AccountClosed) == "account.closed.v1"
    assert catalogue.tag_of(MoneyMoved) == "money.moved.v3"


@pytest.mark.parametrize("tag", ["money.moved.v4", "money.lost.v1", "", "money.moved"])
def test_an_unknown_tag_raises_with_the_tag_and_the_remedy(catalogue: Catalogue, tag: str) -> None:
    with pytest.raises(UnknownType, match="import the package") as caught:
        catalogue.decode(tag, b"{}")
    assert caught.value.tag == tag


def test_an_upcast_to_a_missing_version_raises_unknown_type() -> None:
    catalogue = Catalogue()
    upcast("money.moved", version=1, catalogue=catalogue)(lambda fields: fields)
    with pytest.raises(UnknownType, match=r"money\.moved\.v2"):
        catalogue.decode("money.moved.v1", b"{}")


def test_an_undeclared_struct_has_no_tag(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownType, match="Closed"):
        catalogue.tag_of(AccountClosed)


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
def test_invalid_bytes_are_undecodable(catalogue: Catalogue, data: bytes) -> None:
    with pytest.raises(Undecodable, match=r"money\.moved\.v3") as caught:
        catalogue.decode("money.moved.v3", data)
    assert caught.value.tag == "money.moved.v3"


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"account":"a-1","sum":null}', b'{"account":"a-1","sum":"much"}'],
)
def test_invalid_bytes_of_an_old_version_are_undecodable(catalogue: Catalogue, data: bytes) -> None:
    """An upcast that fails on its input must not end the reader of the log."""
    with pytest.raises(Undecodable, match=r"money\.moved\.v1"):
        catalogue.decode("money.moved.v1", data)


def test_a_declaration_sets_the_subject_and_the_sse_binding(catalogue: Catalogue) -> None:
    event("account.closed", domain="accounts", sse="account:closed", catalogue=catalogue)(
        AccountClosed
    )
    kind = catalogue.type_for_tag("account.closed.v1")
    assert (kind.tag, kind.subject_template) == (
        "account.closed.v1",
        "ev.{owner}.accounts.{entity}",
    )
    assert kind.sse_binding == SseBinding(event_name="account:closed", streams=("trading",))
    assert catalogue.type_of(AccountClosed) is kind
    assert kind in catalogue.event_types()


def test_an_old_version_has_the_declaration_of_the_current_one(catalogue: Catalogue) -> None:
    assert catalogue.type_for_tag("money.moved.v1") is catalogue.type_for_tag("money.moved.v3")


def test_a_newest_wins_type_has_a_value_subject_and_no_domain(catalogue: Catalogue) -> None:
    event("fx.rate", delivery=Delivery.NEWEST_WINS, sse="fx:rate", catalogue=catalogue)(
        AccountClosed
    )
    kind = catalogue.type_of(AccountClosed)
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
def test_invalid_declarations_are_rejected_with_a_reason(
    catalogue: Catalogue, declared: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadDeclaration, match=re.escape(why)):
        event(**{"name": "loan.made", **declared}, catalogue=catalogue)(AccountClosed)
    event("loan.made", catalogue=catalogue)(AccountClosed)  # the failed declaration left nothing


def test_only_events_can_be_declared(catalogue: Catalogue) -> None:
    with pytest.raises(BadDeclaration, match="no subclass of"):
        event("loan.made", catalogue=catalogue)(cast("Any", dict))


class TestPackages:
    """A domain or an SSE name belongs to the package that declares it first."""

    @staticmethod
    def struct(package: str) -> type[Event]:
        made = msgspec.defstruct("Made", [], bases=(Event,), frozen=True, module=f"{package}.made")
        assert issubclass(made, Event)
        return made

    def test_a_domain_of_another_package_cannot_be_used(self, catalogue: Catalogue) -> None:
        event("loan.made", domain="loans", catalogue=catalogue)(self.struct("bank"))
        with pytest.raises(CatalogueClash, match="'loans' belongs to the package 'bank'"):
            event("loan.sold", domain="loans", catalogue=catalogue)(self.struct("broker"))
        event("loan.paid", domain="loans", catalogue=catalogue)(self.struct("bank.later"))

    def test_an_sse_name_of_another_package_cannot_be_used(self, catalogue: Catalogue) -> None:
        event("loan.made", domain="loans", sse="loan:made", catalogue=catalogue)(
            self.struct("bank")
        )
        with pytest.raises(CatalogueClash, match=r"SSE name 'loan:made' belongs to loan\.made\.v1"):
            event("deal.made", domain="deals", sse="loan:made", catalogue=catalogue)(
                self.struct("broker")
            )

    @pytest.mark.parametrize("domain", ["orders", "trades", "reports", "strategies"])
    def test_tapewires_own_domains_cannot_be_used(self, domain: str) -> None:
        with pytest.raises(CatalogueClash, match="belongs to the package 'tapewire'"):
            event("loan.made", domain=domain)(self.struct("bank"))
        assert "loan.made.v1" not in CATALOGUE.tags()
