"""What a piece of work carries on: its correlation, its cause, its trace.

Within a handler that `Tape.react` called, all of it is that of the event being handled, and ids are
made of it: whatever is published or asked again after a redelivery has the id of the first time.
Outside, `correlated` says what a block of calls belongs to.
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
    """The event that a handler is at work on. Ids are given in the order of the handler's calls."""

    def __init__(
        self, subscription_name: str, recorded: RecordedEvent, clock: Callable[[], datetime]
    ) -> None:
        self.subscription_name = subscription_name
        self.recorded = recorded
        self._clock = clock
        self._issued_id_count = 0

    def next_id(self) -> str:
        """32 hexadecimal digits: the same at the same call of another try."""
        self._issued_id_count += 1
        named = f"{self.subscription_name} {self.recorded.metadata.id} {self._issued_id_count}"
        return hashlib.sha256(named.encode()).hexdigest()[:32]

    def age_seconds(self) -> float:
        """Seconds since the event was stored, by this machine's clock."""
        return (self._clock() - self.recorded.time).total_seconds()


_handled_event: ContextVar[HandledEvent | None] = ContextVar("tapewire_cause", default=None)
_correlation: ContextVar[str | None] = ContextVar("tapewire_correlation", default=None)
_traceparent: ContextVar[str | None] = ContextVar("tapewire_traceparent", default=None)


def current_handled_event() -> HandledEvent | None:
    """What the calling handler is at work on, None outside of any."""
    return _handled_event.get()


@contextlib.contextmanager
def handling_event(
    subscription_name: str, recorded: RecordedEvent, clock: Callable[[], datetime]
) -> Iterator[None]:
    """Let all calls of the block carry on from `recorded`; `clock` gives the time of day."""
    token = _handled_event.set(HandledEvent(subscription_name, recorded, clock))
    try:
        with correlated(recorded.metadata.correlation):
            yield
    finally:
        _handled_event.reset(token)


@contextlib.contextmanager
def correlated(correlation: str) -> Iterator[None]:
    """Let all calls of the block, and its log lines, belong to `correlation` (1 to 64 of
    ``[A-Za-z0-9._-]``). Raises BadCall."""
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
    """That of the block, else a new one."""
    return _correlation.get() or new_id()


def current_traceparent() -> str | None:
    """That of the caller's current OpenTelemetry span, else that of the event being handled."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    at_work = current_handled_event()
    handled = at_work.recorded.metadata.traceparent if at_work is not None else None
    return carrier.get("traceparent") or _traceparent.get() or handled


def capture_context() -> tuple[HandledEvent | None, str | None, str | None]:
    """What `taken_over` needs to carry on in another thread."""
    return _handled_event.get(), _correlation.get(), current_traceparent()


@contextlib.contextmanager
def restore_context(captured: tuple[HandledEvent | None, str | None, str | None]) -> Iterator[None]:
    """Let the block carry on what another thread `carried`."""
    at_work, belongs, trace = captured
    tokens = _handled_event.set(at_work), _correlation.set(belongs), _traceparent.set(trace)
    try:
        yield
    finally:
        _handled_event.reset(tokens[0])
        _correlation.reset(tokens[1])
        _traceparent.reset(tokens[2])
