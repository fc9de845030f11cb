"""What every service is built on: settings, logs, traces, requests, leases, health, start and stop.

A service is a wiring function that `run` calls with an `App`. Start at `app`.
"""

from tapewire.log import CommandRejected
from tapewire.runtime.app import App
from tapewire.runtime.correlation import ensure_correlation_id
from tapewire.runtime.leases import Leases
from tapewire.runtime.logging_setup import correlated
from tapewire.runtime.main import run
from tapewire.runtime.requests import (
    Endpoint,
    Outcome,
    RequestClient,
    RequestContext,
    RequestTimeout,
)
from tapewire.runtime.settings import BadSetting, Settings

__all__ = [
    "App",
    "BadSetting",
    "CommandRejected",
    "Endpoint",
    "Leases",
    "Outcome",
    "RequestClient",
    "RequestContext",
    "RequestTimeout",
    "Settings",
    "correlated",
    "ensure_correlation_id",
    "run",
]
