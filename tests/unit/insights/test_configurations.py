"""A user's configuration: creation, change, deletion, and the items that it matches."""

import pytest

from tapewire.events import Configuration
from tapewire.views.configurations import configuration_matches
from tapewire_services.insights.domain.configurations import (
    Active,
    Command,
    derive_configuration_id,
)
from tests.harness.item_builders import START, at, change, create, delete, given, item_analysed


def test_a_configuration_is_created_with_normalized_words() -> None:
    given().when(
        create(name=" My  tech ", tickers=("ibm ", "SPY", "IBM"), tags=("Earnings",))
    ).then("created My tech: IBM,SPY / earnings")


def test_a_repeated_command_creates_no_event() -> None:
    given(create()).when(create()).then()
    given(create(), change(name="New")).when(change(name="New")).then()
    given(create(), delete()).when(delete()).then()
    given(create(), delete()).when(create()).then()


def test_only_the_given_fields_change() -> None:
    given(create(tags=("a",))).when(change(name="New")).then("changed New: IBM / a")
    given(create(tags=("a",))).when(change(tickers=("spy",))).then("changed Tech: SPY / a")
    given(create(tags=("a",))).when(change(tags=())).then("changed Tech: IBM / ")


def test_a_change_without_effect_creates_no_event() -> None:
    given(create()).when(change()).then()
    given(create()).when(change(name="Tech ", tickers=("ibm",), tags=())).then()


def test_a_late_retry_does_not_undo_later_changes() -> None:
    """The first change is repeated after the second."""
    history = given(create(), change("one", name="One"), change("two", name="Two"))
    history.when(change("one", name="One")).then()


def test_a_deleted_configuration_is_not_found() -> None:
    given(create()).when(delete()).then("deleted Tech: IBM / ")
    given(create(), delete()).when(delete("another")).then_rejected("not_found")
    given(create(), delete()).when(change(name="New")).then_rejected("not_found")
    given().when(delete()).then_rejected("not_found")


def test_the_timestamp_never_decreases() -> None:
    history = given(create(), change("a", 60, name="A"), change("b", -60, name="B"))
    assert isinstance(history.state, Active)
    assert history.state.configuration.timestamp == at(60)


@pytest.mark.parametrize(
    ("command", "path", "expected"),
    [
        (create(name=" "), "name", "1 to 80 characters"),
        (create(name="x" * 81), "name", "not 81"),
        (create(tickers=()), "tickers", "at least one"),
        (create(tickers=("IBM", "a,b")), "tickers[1]", "no comma"),
        (create(tickers=("A",) * 51), "tickers", "at most 50"),
        (create(tags=("x" * 41,)), "tags[0]", "1 to 40"),
    ],
)
def test_values_out_of_bounds_are_rejected(command: Command, path: str, expected: str) -> None:
    given().when(command).then_rejected("invalid", path, message=expected)


def test_changes_have_the_same_bounds() -> None:
    given(create()).when(change(tickers=())).then_rejected("invalid", "tickers")
    given(create()).when(change(name="\n")).then_rejected("invalid", "name")


def test_ids_are_derived_from_user_and_command() -> None:
    assert derive_configuration_id("a", "b") == derive_configuration_id("a", "b")
    assert derive_configuration_id("a", "b") != derive_configuration_id("ab", "")
    assert derive_configuration_id("a", "b") != derive_configuration_id("b", "a")


@pytest.mark.parametrize(
    ("tickers", "tags", "is_matched"),
    [
        (("IBM",), (), True),
        (("SPY", "IBM"), (), True),
        (("SPY",), (), False),
        (("IBM",), ("earnings",), True),
        (("IBM",), ("mergers", "earnings"), True),
        (("IBM",), ("mergers",), False),
        (("SPY",), ("earnings",), False),
    ],
)
def test_a_configuration_matches_its_tickers_and_any_of_its_tags(
    tickers: tuple[str, ...], tags: tuple[str, ...], is_matched: bool
) -> None:
    configuration = Configuration(id="k", name="n", tickers=tickers, tags=tags, timestamp=START)
    item = item_analysed(tickers=("IBM", "F"), tags=("earnings", "tech")).item
    assert configuration_matches(configuration, item) is is_matched
    untagged = item_analysed(tickers=("IBM",)).item
    assert configuration_matches(configuration, untagged) is (is_matched and not tags)
