"""What the positions service may do on NATS. Only it writes positions and their valuations."""

from tapewire.log.last_quotes import CHECKPOINT_NAME as LAST_QUOTES
from tapewire.runtime.contracts import positions
from tapewire.runtime.nats_access import service_access
from tapewire.views import PositionsView
from tapewire_services.positions.domain.position import DOMAIN
from tapewire_services.positions.trade_consumer import CHECKPOINT_NAME, LEASE

ACCESS = service_access(
    positions.SERVICE,
    appends=(DOMAIN,),
    stores=("mk.*.*",),
    views=(PositionsView,),
    checkpoints=(CHECKPOINT_NAME, f"{LAST_QUOTES}.*"),
    leases=(LEASE, LAST_QUOTES),
    receives=("ev.*.trades.>", "px.>"),
)
