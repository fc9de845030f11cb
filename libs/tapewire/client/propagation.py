"""Propagates correlation ids, causes and traces to the client's calls.

In a handler of `Client.subscribe_durable` they come from the event being handled. Ids of events and
commands are derived from it too, so a call that is repeated after a redelivery has the same id.
Outside of handlers, `correlated` sets the correlation id of a block.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import datetime

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tapewire.client.errors import InvalidArgument
from tapewire.log import RecordedEvent, new_id
from tapewire.runtime import correlated as logged
from tapewire.runtime import ensure_correlation_id

_propagator = TraceContextTextMapPropagator()


class HandledEvent:
    """The event that a handler processes. Ids are derived in the order of the handler's calls."""

    def __init__(
        self, subscription_name: str, recorded: RecordedEvent, clock: Callable[[], datetime]
    ) -> None:
        self.subscription_name = subscription_name
        self.recorded = recorded
        self._clock = clock
        self._issued_id_count = 0

    def next_id(self) -> str:
        """Return 32 hexadecimal digits, the same for the same call of another delivery."""
        self._issued_id_count += 1
        named = f"{self.subscription_name} {self.recorded.metadata.id} {self._issued_id_count}"
        return hashlib.sha256(named.encode()).hexdigest()[:32]

    def age_seconds(self) -> float:
        """Return the seconds since the event was stored, by this machine's clock."""
        return (self._clock() - self.recorded.time).total_seconds()


_handled_event: ContextVar[HandledEvent | None] = ContextVar("tapewire_cause", default=None)
_correlation: ContextVar[str | None] = ContextVar("tapewire_correlation", default=None)
_traceparent: ContextVar[str | None] = ContextVar("tapewire_traceparent", default=None)


def current_handled_event() -> HandledEvent | None:
    """Return the event that the calling handler processes, or None outside of handlers."""
    return _handled_event.get()


@contextlib.contextmanager
def handling_event(
    subscription_name: str, recorded: RecordedEvent, clock: Callable[[], datetime]
) -> Iterator[None]:
    """Make `recorded` the handled event of all calls in the block."""
    token = _handled_event.set(HandledEvent(subscription_name, recorded, clock))
    try:
        with correlated(recorded.metadata.correlation):
            yield
    finally:
        _handled_event.reset(token)


@contextlib.contextmanager
def correlated(correlation: str) -> Iterator[None]:
    """Set the correlation id of all calls and log lines in the block.

    Raises:
        InvalidArgument: `correlation` is not 1 to 64 of ``[A-Za-z0-9._-]``.
    """
    if ensure_correlation_id(correlation) != correlation:
        wanted = "must be 1 to 64 of the characters A-Z, a-z, 0-9, '.', '_' and '-'"
        raise InvalidArgument("correlation", correlation, wanted)
    token = _correlation.set(correlation)
    try:
        with logged(correlation):
            yield
    finally:
        _correlation.reset(token)


def current_correlation() -> str:
    """Return the correlation id of the block, else a new one."""
    return _correlation.get() or new_id()


def current_traceparent() -> str | None:
    """Return the traceparent of the current OpenTelemetry span, else of the handled event."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    handled = current_handled_event()
    inherited = handled.recorded.metadata.traceparent if handled is not None else None
    return carrier.get("traceparent") or _traceparent.get() or inherited


def capture_context() -> tuple[HandledEvent | None, str | None, str | None]:
    """Return the context of the caller, for `restore_context` in another thread."""
    return _handled_event.get(), _correlation.get(), current_traceparent()


@contextlib.contextmanager
def restore_context(captured: tuple[HandledEvent | None, str | None, str | None]) -> Iterator[None]:
    """Give the block the context that another thread captured."""
    handled, correlation, trace = captured
    tokens = _handled_event.set(handled), _correlation.set(correlation), _traceparent.set(trace)
    try:
        yield
    finally:
        _handled_event.reset(tokens[0])
        _correlation.reset(tokens[1])
        _traceparent.reset(tokens[2])
