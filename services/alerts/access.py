"""What the alerts service may do on NATS. Only it writes rules and notifications."""

from tapewire.log.idempotency import DOMAIN as KEYS
from tapewire.runtime.contracts import alerts
from tapewire.runtime.nats_access import service_access
from tapewire.views import AlertHistory, NotificationHistory, NotificationsView, RulesView
from tapewire_services.alerts.armed_rule_index import CHECKPOINT_NAME
from tapewire_services.alerts.event_consumers import NOTIFICATION_FILTERS, RULE_TRIGGER_FILTERS
from tapewire_services.alerts.price_monitor import EXTREMES_CHECKPOINT_NAME
from tapewire_services.alerts.rule_splits import SUBSCRIPTION as RULE_SPLITS

ACCESS = service_access(
    alerts.SERVICE,
    appends=("rules", "alerts", "notifications", KEYS),
    views=(RulesView, AlertHistory, NotificationsView),
    histories=(NotificationHistory,),
    checkpoints=(
        CHECKPOINT_NAME,
        RULE_SPLITS,
        *RULE_TRIGGER_FILTERS,
        *NOTIFICATION_FILTERS,
        f"{EXTREMES_CHECKPOINT_NAME}.*",
    ),
    leases=("alerts", "notifications"),
    receives=(
        "ev.*.rules.>",
        "ev.*.orders.>",
        "ev.*.strategies.>",
        "ev.*.reports.>",
        "ev.*.alerts.>",
        "px.>",
    ),
)
