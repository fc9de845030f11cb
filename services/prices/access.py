"""What the prices service may do on NATS. Only it writes quotes."""

from tapewire.log.feed_state import CHECKPOINT_NAME
from tapewire.runtime.nats_access import service_access
from tapewire_services.prices.service import LEASE_NAME, SERVICE

ACCESS = service_access(
    SERVICE, stores=("px.*",), checkpoints=(CHECKPOINT_NAME,), leases=(LEASE_NAME,)
)
