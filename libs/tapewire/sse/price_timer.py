"""Tells when a stream with prices falls silent, and when it is no longer so."""

import asyncio
from collections.abc import Callable
from typing import Any

from tapewire.sse.protocol.price_silence import PriceSilence


class PriceSilenceTimer:
    """`PriceSilence` with a timer. `on_change` is called when `is_silent` has changed."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        self._silence = PriceSilence()
        self._on_change = on_change
        self._timer: asyncio.TimerHandle | None = None
        self.is_silent = False

    def receive_event(self, event_type: str, data: Any) -> None:
        """Note an event."""
        self._silence.receive_event(event_type, data, asyncio.get_running_loop().time())
        self._update()

    def receive_bytes(self) -> None:
        """Note that anything has arrived."""
        self._silence.receive_bytes(asyncio.get_running_loop().time())
        self._update()

    def stop(self) -> None:
        """The stream is not open any more. `on_change` is not called."""
        self._silence.forget()
        self.is_silent = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _update(self) -> None:
        """Recompute `is_silent`; one timer is enough, however often something arrives."""
        loop = asyncio.get_running_loop()
        silent_from = self._silence.silent_from
        was_silent, self.is_silent = self.is_silent, loop.time() >= silent_from
        if not self.is_silent and self._timer is None and silent_from < float("inf"):
            self._timer = loop.call_at(silent_from, self._expire)
        if was_silent is not self.is_silent:
            self._on_change()

    def _expire(self) -> None:
        self._timer = None
        self._update()
