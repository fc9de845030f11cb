"""The score of a text in market language: weighted phrases, movements and words, with negation and
contrast. None if the text has no market language.

The title counts most: of the text below it, the mean of its first sentences counts half. Start at
`score_market_text`.
"""

import math
import re
from collections.abc import Iterator

import msgspec

from tapewire_services.insights.market_language.lexicon import PHRASES, STOP_MARKS, WORDS
from tapewire_services.insights.market_language.movements import find_movements

MAX_SENTENCES = 5
"""Sentences of a text below the title that are scored."""
TEXT_SHARE = 0.5
NORMALIZATION = 6.0
"""As VADER's alpha: a sum of weights w becomes w / sqrt(w² + NORMALIZATION)."""
NEGATION_FACTOR = -0.8
NEGATION_REACH = 4
"""Words after a negation that it applies to."""
BEFORE_BUT_FACTOR = 0.4
AFTER_BUT_FACTOR = 1.4
CONCESSION_FACTOR = 0.15
"""What stands after "despite" counts hardly."""

_PATTERNS = tuple((re.compile(rf"\b(?:{pattern})"), weight) for pattern, weight in PHRASES)
_WORD = re.compile(r"\x00[0-9]+\x00|[a-z$&][\w&'$-]*|[0-9$£€%][\w.,%$]*")
_PLAIN = str.maketrans({"\u2019": "'", "\u2018": "'", "\u2013": "-", "\u2014": ",", "\u00a0": " "})
_NEGATIONS = frozenset(
    "no not never without neither nor cannot can't won't don't doesn't didn't isn't aren't wasn't "
    "hasn't haven't shouldn't wouldn't unlikely denies denied deny avoids avoid avoided averts averted "
    "escapes escaped fails failed unable end ends ending eases easing eased despite shrugs".split()
)
_CONTRAST = re.compile(r"\b(?:but|however|yet|though)\b")
_CONCESSION = re.compile(
    r"\b(?:despite|in spite of|notwithstanding|although|even as|even though|shrugs? off)\b[^,;:]*"
)
_SENTENCE_END = re.compile(r"[.!?]\s+|\n")
_NOTHING_HAPPENED = re.compile(
    r"^(?:how|what|who|why|when|where|which|explainer|opinion|preview|interview|transcript|calendar|guide"
    r"|analyst newsletter|week ahead|markets? wrap|notice|podcast|video|quiz)\b|\bto (?:report|publish|release"
    r"|present|host|webcast|hold|announce|attend|speak|meet|discuss)\b|\b(?:things|stocks|what|reasons)"
    r"(?: \w+){0,3} to (?:watch|know|buy)\b|\b(?:newsletter|earnings calendar|conference call|annual (?:general "
    r"|shareholder )*meeting|investor day|capital markets day)\b|\b(?:due|scheduled) (?:on|at|in|for|next|this)\b"
)
"""Announcements, questions and explanations: their words are not news."""


class MarketScore(msgspec.Struct, frozen=True):
    """The sum of all weights of a text, and whether it only announces or explains."""

    weight: float | None
    is_announcement: bool

    @property
    def score(self) -> float:
        """From -1 to 1; 0 without market language."""
        weight = self.weight or 0.0
        return weight / math.sqrt(weight * weight + NORMALIZATION)


def score_market_text(text: str) -> MarketScore:
    """Score a title and, after a line break, the text below it."""
    title, _, body = text.partition("\n")
    plain_title = _normalize(title)
    weight = _weigh(plain_title)
    sentences = [one for one in _SENTENCE_END.split(_normalize(body)) if one][:MAX_SENTENCES]
    below = [one for one in map(_weigh, sentences) if one is not None]
    if below:
        weight = (weight or 0.0) + TEXT_SHARE * sum(below) / len(below)
    return MarketScore(weight, _NOTHING_HAPPENED.search(plain_title) is not None)


def _normalize(text: str) -> str:
    return " ".join(text.translate(_PLAIN).lower().replace("--", ", ").split())


def _weigh(sentence: str) -> float | None:
    """The weight of a sentence; None without market language."""
    concession = _CONCESSION.search(sentence)
    if concession is None:
        return _weigh_contrast(sentence)
    main = f"{sentence[: concession.start()]},{sentence[concession.end() :]}"
    return _add((_weigh_contrast(main), 1.0), (_weigh_parts(concession[0]), CONCESSION_FACTOR))


def _weigh_contrast(sentence: str) -> float | None:
    match = _CONTRAST.search(sentence)
    if match is None:
        return _weigh_parts(sentence)
    before, after = sentence[: match.start()], sentence[match.end() :]
    first, second = _weigh_parts(before), _weigh_parts(after)
    if not second:
        return _add((first, 1.0), (second, 1.0))
    return _add((first, BEFORE_BUT_FACTOR), (second, AFTER_BUT_FACTOR))


def _add(*parts: tuple[float | None, float]) -> float | None:
    known = [weight * factor for weight, factor in parts if weight is not None]
    return sum(known) if known else None


def _weigh_parts(text: str) -> float | None:
    """Replace phrases by their weights, then weigh each part between punctuation marks."""
    weights: list[float] = []

    def replace(weight: float, match: re.Match[str]) -> str:
        weights.append(weight)
        return f" \x00{len(weights) - 1}\x00 " if "\x00" not in match[0] else match[0]

    for pattern, weight in _PATTERNS:
        text = pattern.sub(lambda match, weight=weight: replace(weight, match), text)  # type: ignore[misc]
    found = [one for part in STOP_MARKS.split(text) for one in _weigh_clause(part, weights)]
    return sum(found) if found else None


def _weigh_clause(clause: str, weights: list[float]) -> Iterator[float]:
    words = _WORD.findall(clause)
    movements = find_movements(words)
    used = {position for movement in movements for position in (movement.position, *movement.used)}
    placed = [(movement.position, movement.weight) for movement in movements]
    for position, word in enumerate(words):
        if word.startswith("\x00"):
            placed.append((position, weights[int(word.strip("\x00"))]))
        elif position not in used and word in WORDS:
            placed.append((position, WORDS[word]))
    for position, weight in placed:
        before = words[max(position - NEGATION_REACH, 0) : position]
        is_negated = any(
            word in _NEGATIONS and max(position - NEGATION_REACH, 0) + index not in used
            for index, word in enumerate(before)
        )
        yield weight * NEGATION_FACTOR if is_negated else weight
