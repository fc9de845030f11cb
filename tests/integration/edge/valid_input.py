"""A valid body and query for each REST call that takes one: shared by the tests of all calls."""

import re
from typing import Any

CROSSOVER = {"kind": "moving_average_crossover", "fast": 3, "slow": 9}
STRATEGY = {"symbol": "IBM", "rule": CROSSOVER, "quantity": 10}
ABOVE = {"kind": "price_above", "symbol": "IBM", "price": 1}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/orders"): {
        "symbol": "IBM", "side": "buy", "type": "limit", "qty": 1, "limitPrice": 1,
        "clientOrderId": "mine",
    },
    ("PATCH", "/api/orders/{order_id}"): {"limitPrice": 2},
    ("POST", "/api/strategies"): STRATEGY,
    ("PATCH", "/api/strategies/{strategy_id}"): {"quantity": 20},
    ("POST", "/api/strategies/{strategy_id}/stop"): {"position": "protect"},
    ("POST", "/api/alerts/rules"): ABOVE,
    ("POST", "/api/notifications/read"): {"ids": ["none-such"]},
    ("POST", "/api/v2/configurations"): {"name": "mine", "tickers": ["IBM"]},
    ("PATCH", "/api/v2/configurations/{configuration_id}"): {"name": "ours"},
    ("POST", "/api/v2/items"): {"title": "Up", "source": "wire"},
    ("POST", "/api/session"): {"userId": "x"},
    ("POST", "/api/stream/test"): {"message": "hello"},
    ("PATCH", "/api/stream/{client_id}"): {"topics": ["orders", "prices"]},
}  # fmt: skip
"""By method and documented path. Required fields come first."""
QUERIES = {
    ("GET", "/api/bars"): {"symbol": "IBM", "interval": "1m"},
    ("GET", "/api/operations/explain"): {"user": "alice", "event": "1"},
}
"""Of the calls that require one."""


def of_nothing(path: str) -> str:
    """The documented `path` with ids that nothing has."""
    return re.sub(r"\{[^}]+\}", "none-such", path)
