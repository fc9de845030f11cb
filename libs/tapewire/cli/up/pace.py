"""How long to wait before a dead process is started again, and how its end is told: pure."""

import signal

import msgspec


class Pace(msgspec.Struct, frozen=True):
    """Delays in seconds: `first`, doubling up to `most`; back to `first` after a run of `good`
    seconds. A part that ends `tries` times without ever having been ready is given up."""

    first: float = 0.25
    most: float = 10.0
    good: float = 30.0
    tries: int = 5

    def delay(self, before: float, ran: float) -> float:
        """The delay before the next start, `before` the one before the last (0: there was none),
        `ran` how long it was ready since."""
        if before <= 0 or ran >= self.good:
            return self.first
        return min(before * 2, self.most)


def ending(code: int) -> str:
    """What became of a process that ended with `code`, a negative one being a signal's number."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
