"""`StreamState`: what a stream does at the moment, and who is told about it."""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tapewire.sse.price_timer import PriceSilenceTimer


@dataclass(frozen=True, slots=True)
class StreamState:
    """What a stream does at the moment, for people and programs.

    Attributes:
        name: ``connecting``; ``live``; ``reconnecting``, while it waits for the next try; or
            ``closed``, for good.
        tries: The failures since the last event.
        retry_in_seconds: While reconnecting, how long it waits.
        reason: Why it reconnects or is closed, in words; "" when the caller closed it.
        last_event_id: The id from which it resumes, "" for a snapshot.
        is_polling: A proxy holds streams back, and events arrive by long-polling.
        is_silent: Nothing has arrived for so long that the prices of the stream may be too old.
    """

    name: Literal["connecting", "live", "reconnecting", "closed"]
    tries: int = 0
    retry_in_seconds: float = 0.0
    reason: str = ""
    last_event_id: str = ""
    is_polling: bool = False
    is_silent: bool = False


class StateReporter:
    """Holds the state of a stream, and calls `on_state` with each new one.

    While the state is ``live``, `silence` changes its `is_silent`.
    """

    def __init__(
        self, on_state: Callable[[StreamState], object] | None, state: StreamState
    ) -> None:
        self.state = state
        self.silence = PriceSilenceTimer(self._update_silence)
        self._on_state = on_state

    def report(self, state: StreamState) -> None:
        """Set the state. An error of `on_state` goes to the loop's exception handler."""
        if state.name != "live":
            self.silence.stop()
        self.state = state
        if self._on_state is None:
            return
        try:
            self._on_state(state)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "on_state of a stream failed", "exception": error}
            )

    def _update_silence(self) -> None:
        if self.state.name == "live":
            self.report(dataclasses.replace(self.state, is_silent=self.silence.is_silent))
