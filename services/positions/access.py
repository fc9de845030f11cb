"""What the positions service may do on NATS. Only it writes positions and their valuations."""

from tapewire.log.last_quotes import CHECKPOINT_NAME as LAST_QUOTES
from tapewire.runtime.contracts import positions
from tapewire.runtime.nats_access import service_access, user_checkpoint_subjects
from tapewire.views import PositionsView
from tapewire_services.positions.domain.position import DOMAIN
from tapewire_services.positions.equity_store import CHECKPOINT_NAME as EQUITY
from tapewire_services.positions.trade_consumer import CHECKPOINT_NAME, LEASE

ACCESS = service_access(
    positions.SERVICE,
    appends=(DOMAIN,),
    stores=("mk.*.*", *user_checkpoint_subjects(EQUITY)),
    views=(PositionsView,),
    checkpoints=(CHECKPOINT_NAME, f"{LAST_QUOTES}.*"),
    leases=(LEASE, LAST_QUOTES),
    receives=("ev.*.trades.>", "px.>"),
)
