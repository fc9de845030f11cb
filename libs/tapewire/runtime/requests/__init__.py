"""Requests between services over NATS, discoverable through nats.micro.

A request goes to the queue group of its subject. The process that receives it acknowledges it at
once. Without an acknowledgement the client looks for a process that responds and sends the same
request there; the command id makes that harmless. Every request carries its deadline, and a
process that receives it later does nothing and says so. `RequestTimeout.outcome` tells the caller
whether nothing was done. Decision record 0016 has the reasons.

Errors have types on both sides. A reply is a JSON struct; a rejection is an `ErrorReply` beside the
headers that nats.micro prescribes. Start at `client.RequestClient` or `server.serve_requests`;
`messages` has what travels between them.
"""

from tapewire.runtime.requests.client import RequestClient
from tapewire.runtime.requests.messages import (
    REQUEST_TIMEOUT_SECONDS,
    Endpoint,
    ErrorReply,
    Outcome,
    RequestContext,
    RequestTimeout,
)
from tapewire.runtime.requests.server import RequestServer, serve_requests

__all__ = [
    "REQUEST_TIMEOUT_SECONDS",
    "Endpoint",
    "ErrorReply",
    "Outcome",
    "RequestClient",
    "RequestContext",
    "RequestServer",
    "RequestTimeout",
    "serve_requests",
]
