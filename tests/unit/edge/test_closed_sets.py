"""Fields of payloads that have one of a few values say so: clients get unions, not just strings."""

import typing
from typing import Any

import msgspec
import pytest

from tapewire.payloads import items, strategies, trading
from tapewire_services.edge.delivery.serializers import settings
from tapewire_services.edge.delivery.serializers import trading as serializer

SETS = [
    (trading.AlertPayload, "level", {"info", "warning", "error"}),
    (trading.AlertPayload, "priority", {"high", None}),
    (trading.DecisionPayload, "action", {"buy", "sell", "hold"}),
    (trading.StrategyUpdatePayload, "action", {"buy", "sell", "hold", None}),
    (trading.RuleUpdatePayload, "change", {"created", "triggered", "armed", "split", "deleted"}),
    (trading.ConfigurationUpdatePayload, "change", {"created", "changed", "deleted"}),
    (items.ItemView, "sentiment", {"positive", "neutral", "negative"}),
    *(
        (
            payload,
            "status",
            {"created", "started", "stopped", "completed", "error", "deleted"},
        )
        for payload in (
            trading.StrategyUpdatePayload,
            strategies.StrategyPayload,
            strategies.StrategyStatePayload,
        )
    ),
]


def _values(schema: dict[str, Any], definitions: dict[str, Any]) -> set[Any]:
    if "$ref" in schema:
        return _values(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return set().union(*(_values(one, definitions) for one in schema["anyOf"]))
    return {None} if schema.get("type") == "null" else set(schema["enum"])


@pytest.mark.parametrize(
    ("payload", "field", "values"), SETS, ids=lambda one: getattr(one, "__name__", None)
)
def test_the_schema_names_all_values(payload: type, field: str, values: set[Any]) -> None:
    _, definitions = msgspec.json.schema_components([payload])
    schema = definitions[payload.__name__]["properties"][field]
    assert _values(schema, definitions) == values


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        (trading.StrategyChange, serializer.CHANGE_BY_EVENT),
        (trading.RuleChange, settings.RULE_CHANGES),
        (trading.ConfigurationChange, settings.CONFIGURATION_CHANGES),
    ],
)
def test_the_changes_that_are_named_are_those_that_are_sent(named: Any, sent: Any) -> None:
    assert set(typing.get_args(named)) == set(sent.values())
