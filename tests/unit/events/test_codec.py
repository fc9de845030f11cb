"""JSON as it is stored and sent: exact numbers, camelCase, UTC."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.events import CODEC


class Payment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    net_amount: Decimal
    paid_at: datetime | None = None


@pytest.mark.parametrize(
    "digits",
    [
        "0",
        "1",
        "1.10",
        "0.1",
        "512.4600",
        "-0.0312",
        "100000000000000000000.000000001",
        "0.30000000000000000000000000000000000004",
        "9007199254740993",
    ],
)
def test_numbers_keep_every_digit(digits: str) -> None:
    data = b'{"netAmount":' + digits.encode() + b',"paidAt":null}'
    paid = CODEC.decode(data, Payment)
    assert str(paid.net_amount) == digits
    assert CODEC.encode(paid) == data


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**15), max_value=10**15
    )
)
def test_any_amount_is_encoded_and_decoded_exactly(amount: Decimal) -> None:
    paid = Payment(net_amount=amount)
    assert CODEC.decode(CODEC.encode(paid), Payment) == paid


def test_a_sum_of_tenths_is_exact() -> None:
    tenth = CODEC.decode(b'{"netAmount":0.1}', Payment).net_amount
    assert sum([tenth] * 10) == 1


def test_names_are_camel_case_and_times_are_utc() -> None:
    paid = Payment(net_amount=Decimal(1), paid_at=datetime(2026, 3, 2, 14, 30, tzinfo=UTC))
    assert CODEC.encode(paid) == b'{"netAmount":1,"paidAt":"2026-03-02T14:30:00Z"}'


def test_numbers_in_untyped_json_are_exact() -> None:
    decoded = CODEC.decode(b'{"a":0.10,"b":[1.5]}', dict[str, Any])
    assert decoded == {"a": Decimal("0.10"), "b": [Decimal("1.5")]}
    assert CODEC.encode(decoded) == b'{"a":0.10,"b":[1.5]}'


def test_a_validation_error_has_the_path_of_the_field() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.netAmount"):
        CODEC.decode(b'{"netAmount":true}', Payment)
