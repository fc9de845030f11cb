"""The port for sentiment scorers, and the scorer VADER.

VADER uses a lexicon from its package. It needs no network and no model file, and scores the same
text the same everywhere. Another scorer, such as a model behind HTTP, implements `SentimentScorer`.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from vaderSentiment.vaderSentiment import (  # type: ignore[import-untyped]
    SentimentIntensityAnalyzer,
)

MAX_EMOJI = 16
"""Emoji of a text that are scored. VADER replaces each by words, in time that grows with the square
of their number: a thousand would take most of a second and add nothing to the score."""


class SentimentScorer(Protocol):
    """Scores how positive or negative texts are."""

    async def score_texts(self, texts: Sequence[str]) -> Sequence[Decimal]:
        """Return a score from -1 (negative) to 1 (positive) for each text.

        May be slow, but must not block the event loop.
        """


class VaderScorer:
    """Returns VADER's compound score, with four decimal places."""

    def __init__(self) -> None:
        self._analyzer = SentimentIntensityAnalyzer()

    async def score_texts(self, texts: Sequence[str]) -> Sequence[Decimal]:
        """Score in a thread, because a hundred long texts take tens of milliseconds."""
        return await asyncio.to_thread(lambda: [self.score_text(text) for text in texts])

    def score_text(self, text: str) -> Decimal:
        """Score one text."""
        return Decimal(str(self._analyzer.polarity_scores(self._limit_emoji(text))["compound"]))

    def _limit_emoji(self, text: str) -> str:
        emoji, kept = 0, []
        for character in text:
            emoji += character in self._analyzer.emojis
            if emoji <= MAX_EMOJI or character not in self._analyzer.emojis:
                kept.append(character)
        return "".join(kept)
