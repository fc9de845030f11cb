"""What the edge may do on NATS. It writes sessions and tickets, and asks the other services."""

from tapewire.log.jetstream.streams import SESSIONS, TICKETS
from tapewire.runtime.contracts import CALLS
from tapewire.runtime.nats_access import service_access

_NOT_FOR_BROWSERS = (
    "svc.alerts.send",
    "svc.insights.add",
    "svc.insights.load",
    "svc.orders.correct",
    "svc.orders.split",
)

ACCESS = service_access(
    "edge",
    answers=False,
    requests=[call.subject for call in CALLS if call.subject not in _NOT_FOR_BROWSERS],
    stores=("$KV.sessions.*", "$KV.tickets.*"),
    reads=(SESSIONS, TICKETS),
    receives=("ev.>", "px.>", "mk.>", "val.>"),
    # Presence, rate limits and test events of all edge processes; revoked sessions.
    shares=("say.>", "$KV.sessions.>"),
)
