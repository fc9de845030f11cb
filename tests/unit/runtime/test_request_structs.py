"""The structs of requests: unknown fields and reserved user ids are rejected."""

import json
from typing import Any

import msgspec
import pytest

from tapewire.events import CODEC
from tapewire.runtime.contracts import (
    alerts,
    configurations,
    insights,
    notifications,
    orders,
    positions,
    strategies,
)
from tapewire.runtime.contracts.request import PageRequest, RequestStruct

MODULES = (alerts, configurations, insights, notifications, orders, positions, strategies)
REQUESTS = [
    one
    for module in MODULES
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, RequestStruct)
    if one not in (RequestStruct, PageRequest)
]
ORDER = {"userId": "alice", "symbol": "IBM", "side": "buy", "type": "market", "qty": 1}


def make_order(**changed: Any) -> orders.PlaceOrder:
    return CODEC.decode(json.dumps({**ORDER, **changed}).encode(), orders.PlaceOrder)


def test_the_list_of_requests_is_complete() -> None:
    assert len(REQUESTS) == 37
    of_nobody = {one.__name__ for one in REQUESTS
                 if not {"user_id", "user_ids"} & {*one.__struct_fields__}}  # fmt: skip
    of_operators = {"CorrectExecution", "SplitSymbol"}
    of_items = {"NewItem", "PutItem", "RetractItem", "LoadItems", "GetMetrics"}
    assert of_nobody == of_items | of_operators


@pytest.mark.parametrize("request_", REQUESTS)
def test_an_unknown_field_is_rejected(request_: type[RequestStruct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `stopLos`"):
        CODEC.decode(b'{"stopLos":1}', request_)


@pytest.mark.parametrize("user", ["", "_all", "_", "x" * 129, "\x00", "a\nb", "\x7f"])
def test_reserved_and_invalid_user_ids_are_rejected(user: str) -> None:
    """`_all` owns the events that every user may see: every user would see an order of `_all`."""
    with pytest.raises(msgspec.ValidationError, match=r"\$\.userId"):
        make_order(userId=user)


@pytest.mark.parametrize(
    "user", ["*", ">", "a.b", "a b", "50%", "%2A", "$SYS", "ünï", "a_b", "ż" * 128, "auth0|7"]
)
def test_unusual_user_ids_are_accepted(user: str) -> None:
    assert make_order(userId=user).user_id == user


def test_fields_with_default_values_are_not_encoded() -> None:
    """An older service therefore accepts a newer request that does not use new fields."""
    assert json.loads(CODEC.encode(make_order())) == ORDER
