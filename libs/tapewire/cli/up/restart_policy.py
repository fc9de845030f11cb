"""How long to wait before a dead process is started again, and how its end is told: pure."""

import signal

import msgspec


class RestartPolicy(msgspec.Struct, frozen=True):
    """Delays in seconds: `first`, doubling up to `most`; back to `first` after a run of `good`
    seconds. A part that ends `tries` times without ever having been ready is given up."""

    initial_delay_seconds: float = 0.25
    max_delay_seconds: float = 10.0
    reset_after_seconds: float = 30.0
    max_failed_starts: int = 5

    def next_delay_seconds(self, previous_delay_seconds: float, ready_seconds: float) -> float:
        """The delay before the next start, `before` the one before the last (0: there was none),
        `ran` how long it was ready since."""
        if previous_delay_seconds <= 0 or ready_seconds >= self.reset_after_seconds:
            return self.initial_delay_seconds
        return min(previous_delay_seconds * 2, self.max_delay_seconds)


def describe_exit(code: int) -> str:
    """What became of a process that ended with `code`, a negative one being a signal's number."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
