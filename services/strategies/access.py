"""What the strategies service may do on NATS. It trades only through the orders service."""

from tapewire.log.idempotency import DOMAIN as KEYS
from tapewire.runtime.contracts import orders, strategies
from tapewire.runtime.nats_access import service_access
from tapewire.views import StrategiesView, StrategyHistory
from tapewire_services.strategies.market_sight import DOMAIN as ALERTS
from tapewire_services.strategies.runner import FILLS_CHECKPOINT_NAME, LEASE_NAME
from tapewire_services.strategies.runner_checkpoint import CHECKPOINT_NAME

ACCESS = service_access(
    strategies.SERVICE,
    appends=("strategies", "decisions", ALERTS, KEYS),
    views=(StrategiesView,),
    histories=(StrategyHistory,),
    checkpoints=(LEASE_NAME, FILLS_CHECKPOINT_NAME, f"{CHECKPOINT_NAME}.*"),
    leases=(LEASE_NAME,),
    requests=(
        orders.PLACE_ORDER.subject,
        orders.CANCEL_ORDER.subject,
        orders.GET_ORDER.subject,
    ),
    receives=("ev.*.orders.>", "ev.*.strategies.>", "px.>"),
)
