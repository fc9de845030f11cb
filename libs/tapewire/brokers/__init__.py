"""The broker port: what another package implements to have orders executed by a venue of its own.

`docs/brokers.md` describes it with a complete example. A broker is a class derived from `Broker`
that an entry point of the group `tapewire.brokers` names; `TAPEWIRE_BROKER` chooses it. Start at
`Broker` and `BrokerReports`.
"""

from tapewire.brokers.context import BrokerContext, BrokerStore
from tapewire.brokers.port import (
    MAX_CONCURRENT_REPORTS,
    MAX_REASON_LENGTH,
    MAX_VENUE_ID_LENGTH,
    Broker,
    BrokerReports,
    OpenOrder,
)
from tapewire.runtime.logging_setup import remember_secret
from tapewire.runtime.setting_fields import BadSetting

__all__ = [
    "MAX_CONCURRENT_REPORTS",
    "MAX_REASON_LENGTH",
    "MAX_VENUE_ID_LENGTH",
    "BadSetting",
    "Broker",
    "BrokerContext",
    "BrokerReports",
    "BrokerStore",
    "OpenOrder",
    "remember_secret",
]
