"""What the orders service may do on NATS. Only it writes orders, trades and splits, which it stores
in several domains. It raises alerts about executions that do not fit their orders."""

from tapewire.brokers.context import STORE_NAME as BROKER_STATE
from tapewire.events.splits import SPLITS_DOMAIN
from tapewire.log.idempotency import DOMAIN as KEYS
from tapewire.runtime.contracts import orders
from tapewire.runtime.nats_access import service_access, user_checkpoint_subjects
from tapewire.views import OrderHistory, OrdersView, TradeHistory
from tapewire_services.orders.broker_runner import CHECKPOINT_NAME, LEASE
from tapewire_services.orders.buying_power import CHECKPOINT_NAME as RESERVATIONS
from tapewire_services.orders.execution_booking import DOMAIN as EXECUTIONS
from tapewire_services.orders.execution_booking import FILTER as UNMATCHED_FILTER
from tapewire_services.orders.execution_booking import SUBSCRIPTION as UNMATCHED

ACCESS = service_access(
    orders.SERVICE,
    appends=("orders", "trades", "alerts", EXECUTIONS, KEYS),
    appends_shared=(SPLITS_DOMAIN, "strategies", "rules"),
    views=(OrdersView, TradeHistory),
    histories=(OrderHistory,),
    stores=user_checkpoint_subjects(RESERVATIONS),
    checkpoints=(CHECKPOINT_NAME, BROKER_STATE),
    leases=(LEASE,),
    receives=("ev.*.orders.>", "px.>"),
    durables={UNMATCHED: UNMATCHED_FILTER},
)
