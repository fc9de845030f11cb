"""Requests as every service gets them: nothing that is misspelled is passed over, and nobody acts
as everybody."""

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
from tapewire.runtime.contracts.request import RequestStruct

MODULES = (alerts, configurations, insights, notifications, orders, positions, strategies)
REQUESTS = [
    one
    for module in MODULES
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, RequestStruct) and one is not RequestStruct
]
ORDER = {"userId": "alice", "symbol": "IBM", "side": "buy", "type": "market", "qty": 1}


def make_order(**changed: Any) -> orders.PlaceOrder:
    return CODEC.decode(json.dumps({**ORDER, **changed}).encode(), orders.PlaceOrder)


def test_whatever_is_no_reply_is_a_request() -> None:
    assert len(REQUESTS) == 28
    of_nobody = {one.__name__ for one in REQUESTS
                 if not {"user_id", "user_ids"} & {*one.__struct_fields__}}  # fmt: skip
    assert of_nobody == {"NewItem", "LoadItems", "GetMetrics"}


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_field_that_is_not_known_is_refused(request_: type[RequestStruct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `stopLos`"):
        CODEC.decode(b'{"stopLos":1}', request_)


@pytest.mark.parametrize("user", ["", "_all", "_", "x" * 129, "\x00", "a\nb", "\x7f"])
def test_nobody_is_called_so(user: str) -> None:
    """`_all` owns what every user may see: an order of it would be on every screen."""
    with pytest.raises(msgspec.ValidationError, match=r"\$\.userId"):
        make_order(userId=user)


@pytest.mark.parametrize(
    "user", ["*", ">", "a.b", "a b", "50%", "%2A", "$SYS", "ünï", "a_b", "ż" * 128, "auth0|7"]
)
def test_users_may_be_called_so(user: str) -> None:
    assert make_order(userId=user).user_id == user


def test_what_is_left_at_its_default_is_not_sent() -> None:
    """So an older service takes what a newer one asks, unless it asks for what is new."""
    assert json.loads(CODEC.encode(make_order())) == ORDER
