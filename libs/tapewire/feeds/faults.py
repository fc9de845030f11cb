"""Counts what a feed cannot take, and logs it within bounds however often it comes.

The first fault of each reason is logged. Further ones are counted, and a summary with all counts
follows while they come. `tapewire status` and the metrics of the edge show the counts.
"""

import enum
import re
import time
from collections import Counter
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

SUMMARY_INTERVAL_SECONDS = 60.0
"""The shortest time between two summaries."""
MAX_REASONS = 50
"""Different reasons that are counted; further ones count as `FeedFault.OTHER`."""
MAX_PROBLEM_CHARACTERS = 300
_REASON_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,39}")


class FeedFault(enum.StrEnum):
    """Why something that a feed yields is not taken; `tapewire.values.FaultReason` has the reasons
    of its values."""

    NOT_A_TICK = "not_a_tick"
    TOO_MANY_SYMBOLS = "too_many_symbols"
    PROGRESS_FAILED = "progress_failed"
    OTHER = "other"


class FaultLog:
    """The faults of one feed. `counts` has their number by reason."""

    def __init__(
        self, logger: FilteringBoundLogger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._logger = logger
        self._clock = clock
        self._summarized_at = clock()
        self._summarized_total = 0

    def record(self, reason: str, problem: str) -> None:
        """Count a fault, and log the first of its reason.

        Args:
            reason: A word for counters, in lower case with underscores, such as ``not_json``.
            problem: For people: what was not taken, and why.
        """
        is_counted = reason in self.counts
        if not is_counted and (
            len(self.counts) >= MAX_REASONS or not _REASON_PATTERN.fullmatch(reason)
        ):
            reason = FeedFault.OTHER.value
        self.counts[reason] += 1
        if self.counts[reason] == 1:
            self._logger.warning(
                "feed.fault", fault=reason, reason=problem[:MAX_PROBLEM_CHARACTERS]
            )
        elif self._clock() - self._summarized_at >= SUMMARY_INTERVAL_SECONDS:
            self.summarize()

    def summarize(self) -> None:
        """Log the counts, if any has grown by more than what was logged."""
        self._summarized_at = self._clock()
        total = self.counts.total()
        if total > max(self._summarized_total, len(self.counts)):
            self._logger.warning("feed.faults", counts=dict(self.counts))
        self._summarized_total = total
