"""How fast counters grow."""

from collections import deque

WINDOW_SECONDS = 10.0


class RateMeter:
    """The growth of a counter per second, over the last ten seconds. Pure; the caller has the
    clock."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int]] = deque()

    def add(self, now: float, count: int) -> float | None:
        """Add a reading and return the rate; None without an earlier one. A counter that falls has
        begun again."""
        readings = self._readings
        if readings and count < readings[-1][1]:
            readings.clear()
        readings.append((now, count))
        while len(readings) > 2 and readings[1][0] <= now - WINDOW_SECONDS:
            readings.popleft()
        began, first = readings[0]
        return (count - first) / (now - began) if now > began else None
