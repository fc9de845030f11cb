"""docs/events.md matches the code, and every event, field and request is described."""

import ast
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest
from click.testing import CliRunner

from tapewire.cli import main
from tapewire.cli.protocol import describe
from tapewire.cli.protocol.asyncapi import build_asyncapi
from tapewire.cli.protocol.document import render_document
from tapewire.cli.protocol.headers import EVENT_HEADERS
from tapewire.events import CATALOGUE, Catalogue, Event, EventType, about, event, upcast
from tapewire.log import EventDraft, EventMetadata, EventSubject
from tapewire.log.jetstream import event_log
from tapewire.runtime.contracts import CALLS
from tests.harness.event_factories import make_event

ROOT = Path(__file__).parents[3]
OWN = [kind for kind in CATALOGUE.event_types() if kind.package == "tapewire"]
STRUCTS = sorted(
    {part for kind in OWN for part in (kind.struct, *describe.iter_nested_structs(kind.struct))},
    key=lambda struct: struct.__name__,
)
DIMENSIONLESS = {"confidence", "deviations", "score"}
"""Decimals without a unit."""
FOR_OPERATORS = {"GetStatus", "GetProgress"}
"""Requests that are handled but not part of the documented interface."""


def test_the_committed_page_is_up_to_date() -> None:
    committed = (ROOT / "docs" / "events.md").read_text()
    assert committed == render_document("tapewire"), "docs/events.md is old: run `make protocol`"


def test_the_committed_asyncapi_document_is_up_to_date() -> None:
    committed = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
    assert committed == build_asyncapi("tapewire"), "docs/asyncapi.json is old: run `make protocol`"


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_has_a_description_and_a_unit(struct: type) -> None:
    assert describe.describe_struct(struct)
    hints = get_type_hints(struct)
    names = [field.name for field in msgspec.structs.fields(struct)]
    described = describe.describe_fields(struct, str)[-len(names) :]  # a tag comes first
    for name, field in zip(names, described, strict=True):
        where = f"{struct.__name__}.{name}"
        assert field.meaning, f"{where} has no meaning: annotate it with about(…)"
        if hints[name] in (Decimal, Decimal | None) and name not in DIMENSIONLESS:
            assert field.unit, f"{where} has no unit: about(…, SHARES)"


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.tag)
def test_every_event_type_has_a_subject_template(kind: EventType) -> None:
    assert kind.subject_template is not None, f"{kind.tag}: @event(…, at=…)"
    assert kind.subject_template.split(".")[0] in ("ev", "px", "mk")


def test_the_documented_headers_are_those_of_an_event() -> None:
    meta = EventMetadata(id="e", correlation="c", causation="d", traceparent="t")
    draft = EventDraft(subject=EventSubject("a", "agents", "x"), event=make_event(), metadata=meta)
    _, _, headers = event_log._encode_message(draft)
    assert list(headers) == list(EVENT_HEADERS)


def answered() -> set[str]:
    """Return the requests that the wirings of all services handle, parsed from their source."""
    found = set()
    for wiring in (ROOT / "services").glob("*/__main__.py"):
        tree = ast.parse(wiring.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                found |= {
                    f"{wiring.parent.name} {value.args[0].attr}"
                    for key, value in zip(node.keys, node.values, strict=True)
                    if key is not None
                    if isinstance(value, ast.Call) and isinstance(value.args[0], ast.Attribute)
                    if value.args[0].attr not in FOR_OPERATORS
                }
    return found


def test_every_request_that_a_service_handles_is_documented() -> None:
    listed = {f"{call.service} {call.request.__name__}" for call in CALLS}
    assert answered() - listed == set(), "add a Call to the contracts module of the service"
    assert len(answered()) > 15
    assert len({call.subject for call in CALLS}) == len(CALLS)


class Terms(msgspec.Struct, frozen=True):
    """What was agreed."""

    until: date
    rates: dict[str, Decimal]
    parties: frozenset[str]
    signed: bytes


class LoanAgreed(Event, frozen=True, kw_only=True):
    """The parties agreed."""

    terms: dict[str, Terms]


def test_field_types_of_other_packages_are_documented() -> None:
    catalogue = Catalogue()
    event("loan.agreed", domain="loans", catalogue=catalogue)(LoanAgreed)
    page = render_document(catalogue=catalogue, calls=())
    assert "| `terms` | object of [Terms](#terms) |" in page
    for row in ("`until` | date", "`rates` | object of number", "`parties` | list of text",
                "`signed` | bytes"):  # fmt: skip
        assert f"| {row} |" in page


class LoanMade(Event, frozen=True, kw_only=True):
    """Somebody lent `amount_lent`; None of it is back."""

    amount_lent: Decimal
    note: str | None = None


def test_event_types_of_other_packages_are_documented() -> None:
    catalogue = Catalogue()
    event("loan.made", version=2, domain="loans", sse="loan:made", catalogue=catalogue)(LoanMade)
    upcast("loan.made", version=1, catalogue=catalogue)(lambda fields: fields)
    page = render_document(catalogue=catalogue, calls=())
    assert (
        "| [`loan.made.v2`](#loanmadev2) | `ev.{owner}.loans.{entity}` | event, shown as " in page
    )
    assert "### `loan.made.v2`\n\nSomebody lent `amountLent`; null of it is back.\n" in page
    assert "Read as this one: `loan.made.v1`." in page
    assert "| `note` (optional) | text or null |" in page
    assert "## Requests" not in page


def test_the_command_prints_the_page() -> None:
    result = CliRunner().invoke(main, ["protocol", "--package", "tapewire"])
    assert (result.exit_code, result.stdout) == (0, render_document("tapewire"))


def test_a_package_without_event_types_is_an_error() -> None:
    result = CliRunner().invoke(main, ["protocol", "--package", "nobody"])
    assert result.exit_code == 2
    assert "no package 'nobody' declares types; there are: " in result.stderr


def test_descriptions_do_not_affect_decoding() -> None:
    """The annotation is part of the type and does not slow the decoder."""
    assert about("x", "shares").description == "x (shares)"
    assert msgspec.json.decode(b'{"amountLent":1}', type=LoanMade) == LoanMade(
        amount_lent=Decimal(1)
    )
