"""The log on NATS JetStream.

`connect` gives a `Wire`; `provision` makes the streams; `JetStreamLog` and `JetStreamValues` are
the ports over it.
"""

from tapewire.log.jetstream.connection import NatsConnection, connect
from tapewire.log.jetstream.event_log import JetStreamEventLog
from tapewire.log.jetstream.latest_values import JetStreamLatestValueStore
from tapewire.log.jetstream.streams import provision

__all__ = [
    "JetStreamEventLog",
    "JetStreamLatestValueStore",
    "NatsConnection",
    "connect",
    "provision",
]
