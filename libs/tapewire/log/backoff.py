"""Waiting longer after each failure, never twice the same.

Where the chance comes from is the caller's: a simulation gives a seeded one.
"""

import asyncio
import random

INITIAL_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 3.0


def new_rng() -> random.Random:
    """Chance for those who need no other: it spreads retries and polls, and guards nothing."""
    return random.Random()  # noqa: S311


class Backoff:
    """`wait` after a failure, `reset` after a success."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._delay_seconds = INITIAL_DELAY_SECONDS

    async def wait(self) -> None:
        """Sleep half to one and a half times the delay, which then doubles."""
        await asyncio.sleep(self._delay_seconds * self._rng.uniform(0.5, 1.5))
        self._delay_seconds = min(self._delay_seconds * 2, MAX_DELAY_SECONDS)

    def reset(self) -> None:
        self._delay_seconds = INITIAL_DELAY_SECONDS
