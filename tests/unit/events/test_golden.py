"""Every event that was ever stored can still be read, with the same meaning.

`golden/{tag}.json` is a stored event of each tag ever used, old versions included; the files never
change. An event of a current tag must encode to the same bytes again. An event of an old tag must
encode to `golden/{tag}.becomes.json`, under its current tag.
"""

import importlib
import pkgutil
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

import tapewire.events
from tapewire.events import CATALOGUE, CODEC, OrderFilled, PriceUpdated

GOLDEN = Path(__file__).with_name("golden")
BECOMES = ".becomes.json"

for module in pkgutil.iter_modules(tapewire.events.__path__, "tapewire.events."):
    importlib.import_module(module.name)


def written() -> list[str]:
    """Return the tags with a golden file."""
    files = [file.name for file in GOLDEN.glob("*.json") if not file.name.endswith(BECOMES)]
    return sorted(name.removesuffix(".json") for name in files)


def catalogued() -> list[str]:
    """Return Tapewire's tags: other tests may have declared event types in this process."""
    return [
        tag
        for tag in CATALOGUE.tags()
        if CATALOGUE.struct_for_tag(tag).__module__.startswith("tapewire.")
    ]


def complaints(catalogued: list[str], written: list[str]) -> list[str]:
    """Describe the differences between the catalogue and the golden files, with the remedy."""
    unwritten = [
        f"{tag} has no golden file: write a realistic event to tests/unit/events/golden/{tag}.json"
        for tag in sorted(set(catalogued) - set(written))
    ]
    removed = [
        f"{tag} was written once and is no longer in the catalogue: "
        "events of it are in somebody's log, so keep it, by an upcast if need be"
        for tag in sorted(set(written) - set(catalogued))
    ]
    return unwritten + removed


def compact(file: Path) -> bytes:
    """Return the JSON of `file` without white space; numbers stay as written."""
    return msgspec.json.format(file.read_bytes(), indent=-1)


def test_every_tag_has_a_golden_file_and_none_was_removed() -> None:
    assert complaints(catalogued(), written()) == []


def test_a_new_tag_without_golden_file_fails() -> None:
    [complaint] = complaints([*catalogued(), "order.amended.v1"], written())
    assert complaint.startswith("order.amended.v1 has no golden file")


def test_a_removed_tag_fails() -> None:
    remaining = [tag for tag in catalogued() if tag != "order.placed.v1"]
    [complaint] = complaints(remaining, written())
    assert complaint.startswith("order.placed.v1 was written once")


@pytest.mark.parametrize("tag", written())
def test_golden_events_are_decoded_and_encoded_to_the_expected_bytes(tag: str) -> None:
    event = CATALOGUE.decode(tag, compact(GOLDEN / f"{tag}.json"))

    now = CATALOGUE.tag_of(type(event))
    file = f"{tag}.json" if now == tag else f"{tag}{BECOMES}"
    assert CODEC.encode(event) == compact(GOLDEN / file)


@pytest.mark.parametrize("tag", written())
def test_white_space_in_stored_json_is_ignored(tag: str) -> None:
    file = GOLDEN / f"{tag}.json"
    assert CATALOGUE.decode(tag, file.read_bytes()) == CATALOGUE.decode(tag, compact(file))


def test_compact_keeps_every_digit() -> None:
    assert msgspec.json.format(b'{ "a": 1.10, "b": 1e2, "c": 0.0 }', indent=-1) == (
        b'{"a":1.10,"b":1e2,"c":0.0}'
    )


def test_golden_decimals_are_exact() -> None:
    filled = CATALOGUE.decode("order.filled.v1", compact(GOLDEN / "order.filled.v1.json"))
    assert isinstance(filled, OrderFilled)
    assert str(filled.price) == "512.4600"
    assert filled.order.filled_avg_price == Decimal("512.463333")
    quote = CATALOGUE.decode("price.updated.v1", compact(GOLDEN / "price.updated.v1.json"))
    assert isinstance(quote, PriceUpdated)
    assert str(quote.change) == "-0.0312"
    assert str(quote.price) == "231.10"
