"""Requests to the alerts service about rules and alerts.

The verbs are `svc.alerts.create`, `arm`, `delete`, `rules` and `list`. `notifications` has the
requests about notifications, which the same service answers. It rejects requests with the codes
``invalid`` (with the path of the field in JSON: ``symbol``, ``price``, ``percent``,
``windowSeconds``), ``not_found`` and ``conflict``.
"""

from decimal import Decimal

import msgspec

from tapewire.events import AlertLevel, AlertRaised, AlertRule, RuleKind
from tapewire.runtime.contracts.request import (
    PageReply,
    PageRequest,
    RequestStruct,
    ServiceCall,
    UserId,
)

SERVICE = "alerts"
CREATE, ARM, DELETE, RULES, LIST = "create", "arm", "delete", "rules", "list"


class CreateRule(RequestStruct, frozen=True, kw_only=True):
    """Create a rule that alerts `user_id` once; answered by `RuleReply`. Repeating the command
    returns the existing rule. ``conflict`` if the user has too many rules.

    ``price_above`` and ``price_below`` need `symbol` (1 to 64 printable ASCII characters, with a
    quote) and `price` (dollars a share, perhaps negative, at most 12 digits before the point and 8
    decimal places).
    ``percent_move`` needs `symbol`, `percent` (above 0, at most 1,000, at most 4 decimal places)
    and `window_seconds` (1 to 86,400). ``order_rejected``, ``strategy_error`` and ``stop_loss``
    take a `symbol`; without one they match any. Other fields must be absent. Without `level` the
    rule has the level of its kind.
    """

    user_id: UserId
    kind: RuleKind
    symbol: str | None = None
    price: Decimal | None = None
    percent: Decimal | None = None
    window_seconds: int | None = None
    level: AlertLevel | None = None


class ArmRule(RequestStruct, frozen=True, kw_only=True):
    """Let a triggered rule trigger again; answered by `RuleReply`. An armed rule does not
    change."""

    user_id: UserId
    rule_id: str


class DeleteRule(RequestStruct, frozen=True, kw_only=True):
    """Delete a rule; answered by `RuleReply` with its last state."""

    user_id: UserId
    rule_id: str


class ListRules(PageRequest, frozen=True, kw_only=True):
    """List a user's rules; answered by `RulesReply`."""

    user_id: UserId


class ListAlerts(PageRequest, frozen=True, kw_only=True):
    """List all alerts of a user; answered by `AlertsReply`."""

    user_id: UserId
    limit: int = 100


class RuleReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The rule after the request."""

    rule: AlertRule


class RulesReply(PageReply, frozen=True, kw_only=True):
    """Rules, the oldest first."""

    rules: list[AlertRule]


class AlertsReply(PageReply, frozen=True, kw_only=True):
    """Alerts, the newest first."""

    alerts: list[AlertRaised]


CREATE_RULE = ServiceCall(SERVICE, CREATE, CreateRule, RuleReply)
ARM_RULE = ServiceCall(SERVICE, ARM, ArmRule, RuleReply)
DELETE_RULE = ServiceCall(SERVICE, DELETE, DeleteRule, RuleReply)
LIST_RULES = ServiceCall(SERVICE, RULES, ListRules, RulesReply)
LIST_ALERTS = ServiceCall(SERVICE, LIST, ListAlerts, AlertsReply)
CALLS = (CREATE_RULE, ARM_RULE, DELETE_RULE, LIST_RULES, LIST_ALERTS)
