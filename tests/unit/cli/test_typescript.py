"""The TypeScript types of the client match the code, and differences between schemas are errors."""

from typing import Any

import pytest
from click.testing import CliRunner

from tapewire.cli import main
from tapewire.cli.protocol.schema_types import client_name
from tapewire.cli.protocol.typescript import TypeConflict, render_typescript
from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES
from tapewire_services.edge.delivery.topics import SELECTABLE_TOPICS
from tapewire_services.edge.http.api_document import build_api_document, describe_topics
from tests.unit.cli.test_protocol import ROOT

# The edge's handlers declare parameters and dependencies as all of Litestar 2 does.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
CLIENT_TYPES = ROOT / "libs" / "client" / "packages" / "client" / "src" / "generated" / "types.ts"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_api_document()


def test_the_committed_types_are_up_to_date() -> None:
    printed = CliRunner().invoke(main, ["protocol", "--typescript"])
    assert printed.exit_code == 0, printed.output
    assert printed.output == CLIENT_TYPES.read_text(), f"{CLIENT_TYPES} is old: run `make protocol`"


def test_every_stream_topic_and_call_has_types(document: dict[str, Any]) -> None:
    text = render_typescript(document, describe_topics())
    for route in STREAM_ROUTES:
        assert f'  readonly "{route.name}": {{' in text
    for name in SELECTABLE_TOPICS:
        assert f'  readonly "{name}": Pick<StreamEvents, "' in text
    for path, item in document["paths"].items():
        for verb in item:
            if not item[verb]["operationId"].startswith("stream-"):
                assert f'  readonly "{verb.upper()} {path}": {{' in text


def test_every_name_in_the_document_is_declared_once(document: dict[str, Any]) -> None:
    text = render_typescript(document, describe_topics())
    for schema_name in document["components"]["schemas"]:
        name = client_name(schema_name)
        declared = text.count(f"export interface {name} {{") + text.count(f"export type {name} =")
        assert declared == 1, name


def _document(**schemas: Any) -> dict[str, Any]:
    return {"components": {"schemas": {name.replace("_", "."): schemas[name] for name in schemas}},
            "paths": {}}  # fmt: skip


def _rendered(**schemas: Any) -> str:
    return render_typescript(_document(**schemas), {})


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "number", "format": "decimal"}, "number"),
        ({"type": ["number", "string"], "format": "decimal"}, "Decimal"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"anyOf": [{"$ref": "#/components/schemas/stream.Side"}, {"type": "null"}]},
         "Side | null"),
        ({"allOf": [{"$ref": "#/components/schemas/Side"}], "description": "x"}, "Side"),
        ({"type": "array", "items": {"type": ["integer", "null"]}}, "readonly (number | null)[]"),
        ({"type": "array", "items": {"type": "string"}}, "readonly string[]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}},
         "Readonly<Record<string, number>>"),
        ({"type": "object"}, "Readonly<Record<string, unknown>>"),
        ({"const": "it's \"so\""}, '"it\'s \\"so\\""'),
        ({}, "unknown"),
    ],
)  # fmt: skip
def test_types_of_fields(schema: dict[str, Any], expected: str) -> None:
    text = _rendered(Thing={"properties": {"field": schema}, "required": ["field"]})
    assert f"  readonly field: {expected};\n" in text


def test_a_field_that_is_not_required_is_optional() -> None:
    assert "readonly field?: string;" in _rendered(
        Thing={"properties": {"field": {"type": "string"}}}
    )


def test_a_description_cannot_end_its_comment() -> None:
    text = _rendered(Thing={"description": "a */ export const x = 1; /* b", "properties": {}})
    assert text.count("*/ export const") == 0
    assert text.rindex("/** a * / export const") < text.index("export interface Thing")


@pytest.mark.parametrize(
    "other",
    [
        {"properties": {"a": {"type": "string"}}},
        {"properties": {"a": {"type": "number"}}, "required": ["a"]},
        {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]},
        {"enum": ["a"]},
    ],
)
def test_two_different_schemas_of_one_name_are_an_error(other: dict[str, Any]) -> None:
    thing = {"properties": {"a": {"type": "string"}}, "required": ["a"]}
    with pytest.raises(TypeConflict, match="'Thing' differ"):
        _rendered(ThingView=thing, stream_ThingPayload=other)


def test_the_same_schema_of_streams_and_calls_is_declared_once_with_its_descriptions() -> None:
    field = {"type": "string"}
    text = _rendered(
        ThingView={"properties": {"a": field, "b": field}},
        stream_Thing={
            "properties": {"b": field, "a": {**field, "description": "dollars"}},
            "description": "A thing.",
        },
    )
    assert text.count("export interface Thing ") == 1
    assert "/** dollars */" in text
    assert "/** A thing. */" in text
