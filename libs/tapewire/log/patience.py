"""Waiting longer after each failure, never twice the same.

Where the chance comes from is the caller's: a simulation gives a seeded one.
"""

import asyncio
import random

FIRST_SECONDS = 0.1
MOST_SECONDS = 3.0


def fresh_chance() -> random.Random:
    """Chance for those who need no other: it spreads retries and polls, and guards nothing."""
    return random.Random()  # noqa: S311


class Patience:
    """`wait` after a failure, `reset` after a success."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._seconds = FIRST_SECONDS

    async def wait(self) -> None:
        """Sleep half to one and a half times the delay, which then doubles."""
        await asyncio.sleep(self._seconds * self._chance.uniform(0.5, 1.5))
        self._seconds = min(self._seconds * 2, MOST_SECONDS)

    def reset(self) -> None:
        self._seconds = FIRST_SECONDS
