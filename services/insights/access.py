"""What the insights service may do on NATS. Only it writes items and configurations."""

from tapewire.log.idempotency import DOMAIN as KEYS
from tapewire.runtime.contracts import insights
from tapewire.runtime.nats_access import service_access
from tapewire.views import ConfigurationsView, ItemHistory, MetricsView
from tapewire_services.insights.domain.configurations import DOMAIN as CONFIGURATIONS
from tapewire_services.insights.item_writer import DOMAIN as ITEMS

ACCESS = service_access(
    insights.SERVICE,
    appends=(CONFIGURATIONS, KEYS),
    appends_shared=(ITEMS,),
    views=(ItemHistory, MetricsView, ConfigurationsView),
    receives=("ev.*.items.>", "ev.*.configurations.>"),
)
