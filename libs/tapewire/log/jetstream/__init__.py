"""The event log on NATS JetStream.

`connect` opens a `NatsConnection`, `provision` creates the streams, and `JetStreamEventLog` and
`JetStreamLatestValueStore` implement the ports. `compat` holds the private parts of nats-py. Start
at `event_log`.
"""

from tapewire.log.jetstream.connection import NatsConnection, connect
from tapewire.log.jetstream.credentials import BadCredentials, CredentialsRefused, NatsCredentials
from tapewire.log.jetstream.event_log import JetStreamEventLog
from tapewire.log.jetstream.latest_values import JetStreamLatestValueStore
from tapewire.log.jetstream.pending_replies import NotPermitted
from tapewire.log.jetstream.provisioning import provision

__all__ = [
    "BadCredentials",
    "CredentialsRefused",
    "JetStreamEventLog",
    "JetStreamLatestValueStore",
    "NatsConnection",
    "NatsCredentials",
    "NotPermitted",
    "connect",
    "provision",
]
