"""The port to whatever scores texts, and VADER behind it.

VADER reads a lexicon that comes with its package: it needs no network and no model file, and the
same text has the same score everywhere. Another scorer (a model behind HTTP, say) is a class with
the one method of `Scorer`.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from vaderSentiment.vaderSentiment import (  # type: ignore[import-untyped]
    SentimentIntensityAnalyzer,
)

MAX_EMOJI = 16
"""Emoji of a text that count: VADER writes each out in words, and its time grows with the square of
them. A thousand would take most of a second, and say nothing that these do not."""


class SentimentScorer(Protocol):
    """Says how good or bad texts are."""

    async def score_texts(self, texts: Sequence[str]) -> Sequence[Decimal]:
        """A score from -1 (bad) to 1 (good) of each text. May be slow; must not block the loop."""


class VaderScorer:
    """The scores that VADER calls compound, to four places."""

    def __init__(self) -> None:
        self._analyzer = SentimentIntensityAnalyzer()

    async def score_texts(self, texts: Sequence[str]) -> Sequence[Decimal]:
        """In a thread: a hundred long texts take tens of milliseconds."""
        return await asyncio.to_thread(lambda: [self.score_text(text) for text in texts])

    def score_text(self, text: str) -> Decimal:
        """Of one text."""
        return Decimal(str(self._analyzer.polarity_scores(self._limit_emoji(text))["compound"]))

    def _limit_emoji(self, text: str) -> str:
        emoji, kept = 0, []
        for character in text:
            emoji += character in self._analyzer.emojis
            if emoji <= MAX_EMOJI or character not in self._analyzer.emojis:
                kept.append(character)
        return "".join(kept)
