"""What the edge may do on NATS. It writes sessions and tickets, and asks the other services. It
reads failed events for operators."""

from tapewire.log.jetstream.streams import PARKED, SESSIONS, TICKETS
from tapewire.runtime.contracts import CALLS
from tapewire.runtime.nats_access import service_access
from tapewire_services.edge.http.service_lag import PROGRESS_CALLS

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
    requests=[
        *(call.subject for call in CALLS if call.subject not in _NOT_FOR_BROWSERS),
        *(f"svc.{service}.{verb}" for service, verb in PROGRESS_CALLS),
    ],
    stores=("$KV.sessions.*", "$KV.tickets.*"),
    reads=(SESSIONS, TICKETS, PARKED),
    receives=("ev.>", "px.>", "mk.>", "val.>"),
    # Presence, rate limits and test events of all edge processes; revoked sessions.
    shares=("say.>", "$KV.sessions.>"),
)
