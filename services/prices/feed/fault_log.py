"""Counts what a feed cannot take, and logs it within bounds however often it comes.

The first fault of each reason is logged with its line. Further ones are counted, and a summary with
all counts follows while they come.
"""

from collections import Counter
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from tapewire_services.prices.domain import LineFault, MalformedLine

SUMMARY_INTERVAL_SECONDS = 60.0
"""The shortest time between two summaries."""


class FeedFaultLog:
    """The faults of one feed, by reason."""

    def __init__(self, logger: FilteringBoundLogger, clock: Callable[[], float]) -> None:
        self.counts: Counter[str] = Counter()
        self._logger = logger
        self._clock = clock
        self._summarized_at = clock()
        self._summarized_total = 0

    def record(self, fault: MalformedLine) -> None:
        """Count a fault, and log the first of its reason."""
        self.counts[fault.reason] += 1
        if fault.reason == LineFault.TRUNCATED:
            self._logger.error("feed.truncated", line=fault.line, reason=str(fault))
        elif self.counts[fault.reason] == 1:
            self._logger.warning("feed.malformed_line", line=fault.line, reason=str(fault))
        elif self._clock() - self._summarized_at >= SUMMARY_INTERVAL_SECONDS:
            self.summarize()

    def summarize(self) -> None:
        """Log the counts, if any has grown by more than what was logged."""
        self._summarized_at = self._clock()
        total = self.counts.total()
        if total > max(self._summarized_total, len(self.counts)):
            self._logger.warning("feed.malformed_lines", counts=dict(self.counts))
        self._summarized_total = total
