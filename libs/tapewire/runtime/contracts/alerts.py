"""Requests to the alerts service (`svc.alerts.create`, `arm`, `delete`, `rules`, `list`) and its
replies. What the same service answers of notifications is in `notifications`.

The service refuses with the codes ``invalid`` (with the field's path as these structs spell it in
JSON: ``symbol``, ``price``, ``percent``, ``windowSeconds``), ``not_found`` and ``conflict``.
"""

from decimal import Decimal

import msgspec

from tapewire.events import AlertLevel, AlertRaised, AlertRule, RuleKind
from tapewire.runtime.contracts.request import RequestStruct, UserId
from tapewire.runtime.contracts.service_call import ServiceCall

SERVICE = "alerts"
CREATE, ARM, DELETE, RULES, LIST = "create", "arm", "delete", "rules", "list"


class CreateRule(RequestStruct, frozen=True, kw_only=True):
    """Tell `user_id` once when this comes to pass; answered by `RuleReply`. The same command again
    is answered with the rule that is there. ``conflict`` when the user has too many rules.

    ``price_above`` and ``price_below`` need `symbol` (1 to 64 printable ASCII characters, known to
    the market) and `price` (dollars a share, above 0, at most 1,000,000, at most 8 decimal places);
    ``percent_move`` needs `symbol`, `percent` (above 0, at most 1,000, at most 4 decimal places)
    and `window_seconds` (1 to 86,400). ``order_rejected``, ``strategy_error`` and ``stop_loss``
    take a `symbol` or, without one, any. What a kind does not need must not be given. Without a
    `level` the rule has its kind's.
    """

    user_id: UserId
    kind: RuleKind
    symbol: str | None = None
    price: Decimal | None = None
    percent: Decimal | None = None
    window_seconds: int | None = None
    level: AlertLevel | None = None


class ArmRule(RequestStruct, frozen=True, kw_only=True):
    """Let a rule trigger again; answered by `RuleReply`. Nothing changes when it is armed."""

    user_id: UserId
    rule_id: str


class DeleteRule(RequestStruct, frozen=True, kw_only=True):
    """Forget a rule; answered by `RuleReply`, with the rule as it was last."""

    user_id: UserId
    rule_id: str


class ListRules(RequestStruct, frozen=True, kw_only=True):
    """A user's rules; answered by `RulesReply`."""

    user_id: UserId


class ListAlerts(RequestStruct, frozen=True, kw_only=True):
    """A user's last alerts, 100 at the most; answered by `AlertsReply`."""

    user_id: UserId


class RuleReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The rule after the request."""

    rule: AlertRule


class RulesReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Rules, the oldest first, as they were at sequence `as_of` of log `epoch`."""

    rules: list[AlertRule]
    as_of: int
    epoch: str


class AlertsReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Alerts, the newest first, as they were at sequence `as_of` of log `epoch`."""

    alerts: list[AlertRaised]
    as_of: int
    epoch: str


CREATE_RULE = ServiceCall(SERVICE, CREATE, CreateRule, RuleReply)
ARM_RULE = ServiceCall(SERVICE, ARM, ArmRule, RuleReply)
DELETE_RULE = ServiceCall(SERVICE, DELETE, DeleteRule, RuleReply)
LIST_RULES = ServiceCall(SERVICE, RULES, ListRules, RulesReply)
LIST_ALERTS = ServiceCall(SERVICE, LIST, ListAlerts, AlertsReply)
CALLS = (CREATE_RULE, ARM_RULE, DELETE_RULE, LIST_RULES, LIST_ALERTS)
