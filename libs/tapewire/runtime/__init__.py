"""What a service stands on: settings, logs, traces, requests, leases, health, start and stop.

Start at `app`: a service is a wiring function given to `run`.
"""

from tapewire.log import Refusal
from tapewire.runtime.app import App, run
from tapewire.runtime.correlation import correlation_id
from tapewire.runtime.leases import Leases
from tapewire.runtime.logs import correlated
from tapewire.runtime.requests import Context, Endpoint, Requests, Unanswered
from tapewire.runtime.settings import BadSetting, Settings

__all__ = [
    "App",
    "BadSetting",
    "Context",
    "Endpoint",
    "Leases",
    "Refusal",
    "Requests",
    "Settings",
    "Unanswered",
    "correlated",
    "correlation_id",
    "run",
]
