"""What the prices service may do on NATS. Only it writes quotes and bars."""

from tapewire.log.feed_state import CHECKPOINT_NAME
from tapewire.log.jetstream.streams import BARS, QUOTES
from tapewire.runtime.nats_access import service_access
from tapewire_services.prices.service import BARS_LEASE_NAME, LEASE_NAME, SERVICE

ACCESS = service_access(
    SERVICE,
    stores=("px.*", "bars.>"),
    checkpoints=(CHECKPOINT_NAME,),
    leases=(LEASE_NAME, BARS_LEASE_NAME),
    reads=(QUOTES, BARS),
)
