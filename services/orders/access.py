"""What the orders service may do on NATS. Only it writes orders and trades."""

from tapewire.log.idempotency import DOMAIN as KEYS
from tapewire.runtime.contracts import orders
from tapewire.runtime.nats_access import service_access
from tapewire.views import OrderHistory, OrdersView, TradeHistory
from tapewire_services.orders.broker_runner import CHECKPOINT_NAME, LEASE

ACCESS = service_access(
    orders.SERVICE,
    appends=("orders", "trades", KEYS),
    views=(OrdersView, TradeHistory),
    histories=(OrderHistory,),
    checkpoints=(CHECKPOINT_NAME,),
    leases=(LEASE,),
    receives=("ev.*.orders.>", "px.>"),
)
