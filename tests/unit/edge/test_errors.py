"""HTTP errors: the status, the message, and the path and value of the invalid field."""

import json
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.exceptions import NotFoundException

from tapewire.log import CommandRejected, Unavailable
from tapewire.runtime import RequestTimeout
from tapewire_services.edge.http.controllers.orders import PlaceOrderBody
from tapewire_services.edge.http.errors import (
    MAX_MESSAGE_CHARACTERS,
    HttpError,
    decode_body,
    require_json_numbers,
    to_http_error,
    unauthorized,
    unavailable,
)


class Leg(msgspec.Struct, forbid_unknown_fields=True):
    qty: Decimal


class Mark(msgspec.Struct, tag_field="kind", tag="mark", rename="camel"):
    """A struct that ignores unknown fields, as the structs of events do."""

    made_at: int = 0
    legs: tuple[Leg, ...] = ()


class Basket(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    legs: list[Leg]
    by_symbol: dict[str, Leg] = {}
    name: Annotated[str, msgspec.Meta(min_length=1)] = "x"
    note: str | None = None
    mark: Mark | None = None
    marks: list[Mark] = []


def failure(data: str | bytes, into: type[Basket] = Basket) -> HttpError:
    with pytest.raises(HttpError) as raised:
        decode_body(data if isinstance(data, bytes) else data.encode(), into)
    return raised.value


@pytest.mark.parametrize(
    ("data", "path", "value"),
    [
        ("{}", "legs", None),
        ('{"legs":7}', "legs", 7),
        ('{"legs":[7]}', "legs[0]", 7),
        ('{"legs":[{"qty":1},{}]}', "legs[1].qty", None),
        ('{"legs":[{"qty":true}]}', "legs[0].qty", True),
        ('{"legs":[{"qty":1,"x":[1]}]}', "legs[0].x", [1]),
        ('{"legs":[],"name":""}', "name", ""),
        ('{"legs":[],"note":7}', "note", 7),
        ('{"legs":[],"other":{"a":1}}', "other", {"a": 1}),
        ('{"legs":[],"mark":{"kind":"mark","made_at":1}}', "mark.made_at", 1),
        ('{"legs":[],"marks":[{"kind":"mark"},{"kind":"mark","x":{}}]}', "marks[1].x", {}),
        ('{"legs":[],"mark":{"kind":"mark","legs":[{"qty":1,"x":2}]}}', "mark.legs[0].x", 2),
        ("[]", "", []),
        ("null", "", None),
    ],
)
def test_a_validation_error_has_the_path_and_the_value(data: str, path: str, value: Any) -> None:
    failed = failure(data)
    body = json.loads(failed.body())
    assert (failed.status, body["path"]) == (422, path)
    assert body.get("value") == value
    assert "`$" not in body["message"]


def test_a_tag_and_known_fields_are_decoded() -> None:
    fits = b'{"legs":[],"mark":{"kind":"mark","madeAt":1},"note":null}'
    assert decode_body(fits, Basket) == Basket(legs=[], mark=Mark(made_at=1))


def test_long_values_are_omitted_and_long_messages_are_cut() -> None:
    body = json.loads(failure(json.dumps({"legs": "x" * 500})).body())
    assert "value" not in body
    long = json.dumps({"x" * 500: 1})
    assert len(json.loads(failure(long).body())["message"]) <= MAX_MESSAGE_CHARACTERS


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a":1}}', b"\xff", b'{"legs":"\xff"}', b"[" * 5000, b'{"a":' * 5000, b"nan"],
)
def test_malformed_json_is_rejected_with_400(data: bytes) -> None:
    failed = failure(data)
    assert failed.status == 400
    assert "path" not in json.loads(failed.body())


json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
).map(json.dumps)


@given(st.binary() | json_texts.map(str.encode))
def test_any_body_is_decoded_or_rejected_with_a_status(data: bytes) -> None:
    failed = None
    try:
        decode_body(data, PlaceOrderBody)
    except HttpError as failure_:
        failed = failure_
    if failed is not None:
        assert failed.status in (400, 422)
        assert json.loads(failed.body())["statusCode"] == failed.status


@pytest.mark.parametrize("text", ["1", "-1", "0.5", "10", "1e3", "1.5E-7", '"1"', '"0.5"', "null"])
def test_json_numbers_are_accepted(text: str) -> None:
    require_json_numbers(b'{"qty":%b}' % text.encode(), "qty", "limitPrice")


@pytest.mark.parametrize(
    "text",
    ["NaN", "sNaN", "-Infinity", "inf", "", " 1", "1 ", "+1", "01", ".5", "1.", "1_0", "\u0661"],
)
def test_other_spellings_of_numbers_are_rejected(text: str) -> None:
    with pytest.raises(HttpError) as raised:
        require_json_numbers(json.dumps({"legs": [{"qty": text}]}).encode(), "legs[0].qty")
    body = json.loads(raised.value.body())
    assert (body["statusCode"], body["path"], body["value"]) == (422, "legs[0].qty", text)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (unauthorized(), 401),
        (unavailable("away"), 503),
        (CommandRejected("not_found", "no"), 404),
        (CommandRejected("conflict", "no"), 409),
        (CommandRejected("forbidden", "no"), 403),
        (CommandRejected("invalid", "no", "qty"), 422),
        (CommandRejected("something_new", "no"), 422),
        (RequestTimeout("away"), 503),
        (Unavailable("away"), 503),
        (NotFoundException(), 404),
        (KeyError("secret"), 500),
    ],
)
def test_every_error_has_a_status_and_the_same_fields(error: Any, status: int) -> None:
    failed = to_http_error(error)
    body = json.loads(failed.body())
    assert (failed.status, body["statusCode"]) == (status, status)
    assert body["error"]
    assert body["message"]


def test_an_unexpected_error_does_not_reveal_its_text() -> None:
    assert b"secret" not in to_http_error(KeyError("secret")).body()


def test_an_unavailable_service_sends_retry_after() -> None:
    for error in (unavailable("x"), RequestTimeout("x"), Unavailable("x")):
        assert int(to_http_error(error).headers["Retry-After"]) >= 1
