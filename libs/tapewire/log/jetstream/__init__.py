"""The log on NATS JetStream.

`connect` gives a `Wire`; `provision` makes the streams; `JetStreamLog` and `JetStreamValues` are
the ports over it.
"""

from tapewire.log.jetstream.journal import JetStreamLog
from tapewire.log.jetstream.streams import provision
from tapewire.log.jetstream.values import JetStreamValues
from tapewire.log.jetstream.wire import Wire, connect

__all__ = ["JetStreamLog", "JetStreamValues", "Wire", "connect", "provision"]
