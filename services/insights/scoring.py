"""The port for sentiment scorers, and the scorer that comes with Tapewire.

`MarketScorer` reads the language of markets (`market_language`) on top of VADER, which uses a
lexicon of everyday words. Neither needs a network or a model file, and the same text has the same
score everywhere. Another scorer, such as a model behind HTTP, implements `SentimentScorer`.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from vaderSentiment.vaderSentiment import (  # type: ignore[import-untyped]
    SentimentIntensityAnalyzer,
)

from tapewire_services.insights.market_language.lexicon import MARKET_TERMS
from tapewire_services.insights.market_language.scorer import score_market_text

MAX_EMOJI = 16
"""Emoji of a text that are scored. VADER replaces each by words, in time that grows with the square
of their number: a thousand would take most of a second and add nothing to the score."""
EVERYDAY_SHARE = 0.25
"""How much VADER's score counts beside that of market language."""
MIN_EVERYDAY_SCORE = 0.3
"""VADER's score of a text without market language is taken for 0 below that."""
SCORE_DIGITS = 4


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


class MarketScorer(VaderScorer):
    """Scores market language, and everyday words by VADER where there is none."""

    def __init__(self) -> None:
        super().__init__()
        for term in MARKET_TERMS:
            self._analyzer.lexicon.pop(term, None)

    def score_text(self, text: str) -> Decimal:
        """Score one text, with four decimal places."""
        everyday = super().score_text(text)
        market = score_market_text(text)
        if market.weight is None:
            is_clear = abs(everyday) >= MIN_EVERYDAY_SCORE and not market.is_announcement
            return everyday if is_clear else Decimal(0)
        if market.is_announcement:
            return Decimal(0)
        mixed = market.score * (1 - EVERYDAY_SHARE)
        if market.weight:
            mixed += float(everyday) * EVERYDAY_SHARE * min(abs(market.score), 1.0)
        return Decimal(str(round(mixed, SCORE_DIGITS)))
