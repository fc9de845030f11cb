"""What a service stands on: settings, logs, traces, requests, leases, health, start and stop.

Start at `app`: a service is a wiring function given to `run`.
"""

from tapewire.log import CommandRejected
from tapewire.runtime.app import App, run
from tapewire.runtime.correlation import ensure_correlation_id
from tapewire.runtime.leases import Leases
from tapewire.runtime.logging_setup import correlated
from tapewire.runtime.requests import Endpoint, RequestClient, RequestContext, RequestTimeout
from tapewire.runtime.settings import BadSetting, Settings

__all__ = [
    "App",
    "BadSetting",
    "CommandRejected",
    "Endpoint",
    "Leases",
    "RequestClient",
    "RequestContext",
    "RequestTimeout",
    "Settings",
    "correlated",
    "ensure_correlation_id",
    "run",
]
