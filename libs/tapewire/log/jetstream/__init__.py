"""The log on NATS JetStream.

`connect` gives a `Wire`; `provision` makes the streams; `JetStreamLog` and `JetStreamValues` are
the ports over it.
"""

from tapewire.log.jetstream.journal import JetStreamEventLog
from tapewire.log.jetstream.streams import provision
from tapewire.log.jetstream.values import JetStreamLatestValueStore
from tapewire.log.jetstream.wire import NatsConnection, connect

__all__ = [
    "JetStreamEventLog",
    "JetStreamLatestValueStore",
    "NatsConnection",
    "connect",
    "provision",
]
