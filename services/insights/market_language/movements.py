"""What moves in a clause, in which direction, and whether that is good.

A movement is good if something desirable rises or something undesirable falls. Its quantity is the
object of a verb such as "cut", the noun after an adjective such as "higher", and otherwise the
nearest quantity before it in its clause. Start at `find_movements`.
"""

import re
from collections.abc import Sequence

import msgspec

from tapewire_services.insights.market_language.lexicon import COST_KINDS, QUANTITIES

MAX_DISTANCE = 6
"""Words between a movement and its quantity."""
MOVEMENT_WEIGHT = 2.0
STRONG_FACTOR = 1.4
UNKNOWN_QUANTITY_FACTOR = 0.8
"""A movement without a quantity is mostly that of a share price."""
CLAUSE_WORDS = frozenset(
    "as after amid while but although though despite when before because since and with for"
    " following ahead on".split()
)


class Movement(msgspec.Struct, frozen=True):
    """A weighted movement: its position, and the positions that it uses."""

    position: int
    weight: float
    used: tuple[int, ...]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("|".join(text.split()))


_RISES = _pattern(
    r"ris(?:e|es|ing|en)|rose climb\w* jump\w* surg(?:e|es|ed|ing) soar\w* gain(?:s|ed|ing)? advanc\w+"
    r" rall(?:y|ies|ied|ying) rebound\w* recover(?:s|ed|ing)? grow(?:s|ing|n)?|grew increas(?:e|es|ed|ing)"
    r" improv(?:e|es|ed|ing) accelerat\w+ expand\w* strengthen\w* swell\w* spik(?:e|es|ed|ing) skyrocket\w*"
    r" leap(?:s|ed|t)? pop(?:s|ped)? doubl(?:e|es|ed|ing) tripl(?:e|es|ed) quadrupl\w+ balloon\w* mount(?:s|ed|ing)?"
    r" widen\w* deepen\w* bounc(?:e|es|ed|ing) rocket(?:s|ed) firm(?:s|ed) perk\w* tick(?:s|ed)? edg(?:e|es|ed)"
    r" inch(?:es|ed)? up upward higher swells thaw\w* exceed\w* escalat\w* intensif\w+"
)
_FALLS = _pattern(
    r"fall(?:s|ing|en)?|fell drop(?:s|ped|ping)? declin(?:e|es|ed|ing) slid(?:e|es|ing)? slump\w* plung\w+"
    r" plummet\w* tumbl\w+ sink(?:s|ing)?|sank|sunk dip(?:s|ped|ping)? slip(?:s|ped|ping)? shr[iau]nk\w*"
    r" contract(?:s|ed|ing) eas(?:e|es|ed|ing) cool(?:s|ed|ing)? slow(?:s|ed|ing)? narrow(?:s|ed|ing)?"
    r" weaken\w* dwindl\w+ halv(?:e|es|ed|ing) crater\w* nosediv\w+ retreat\w* reced\w+ fad(?:e|es|ed|ing)"
    r" sag(?:s|ged)? tank(?:s|ed|ing)? diminish\w* moderat(?:e|es|ed|ing) subsid\w+ abat(?:e|es|ed|ing) wan(?:e|es|ed)"
    r" evaporat\w+ down downward lower tighten(?:s|ed|ing)? collaps(?:e|es|ed) crash(?:es|ed) shed(?:s|ding)?"
    r" melt(?:s|ed)? stumbl\w+ skid\w* dive(?:s|d)?|dove soften\w* ebb(?:s|ed)? thins|thinned disappear\w*"
)
_RAISES = _pattern(
    r"rais(?:e|es|ed|ing) lift(?:s|ed|ing)? boost(?:s|ed|ing)? increas(?:e|es|ed|ing) hik(?:e|es|ed|ing) ups|upped"
    r" bolster\w* extend(?:s|ed) doubl(?:e|es|ed) expand(?:s|ed) grow(?:s)? add(?:s|ed) widen(?:s|ed) improv(?:es|ed)"
)
_LOWERS = _pattern(
    r"cut(?:s|ting)? slash(?:es|ed|ing)? trim(?:s|med|ming)? lower(?:s|ed|ing) reduc(?:e|es|ed|ing) scrap(?:s|ped)?"
    r" suspend(?:s|ed)? ax(?:es|ed|e) par(?:es|ed|e) eas(?:e|es|ed|ing) calm(?:s|ed|ing)? curb(?:s|ed|ing)?"
    r" squeez(?:e|es|ed|ing) dent(?:s|ed)? erod(?:e|es|ed|ing) halv(?:e|es|ed) sooth(?:e|es|ed|ing) sooth\w*"
    r" allay\w* tam(?:e|es|ed|ing) withdraw(?:s|n)?|withdrew pull(?:s|ed)? shrink(?:s|ing)? narrow(?:s|ed)? hit(?:s|ting)?"
    r" hurt(?:s|ing)? slow(?:s|ed)? crimp(?:s|ed)? hamper(?:s|ed)? knock(?:s|ed)? drag(?:s|ged)? damp(?:s|ens|ened|en)?"
    r" weaken(?:s|ed) offset(?:s|ting)? contain(?:s|ed|ing)? stem(?:s|med|ming)? dump(?:s|ed) shed(?:s)? quell(?:s|ed)?"
)
_HIGH = _pattern(
    r"higher highest record records? peak high highs rising growing surging soaring strong stronger brisk robust"
    r" booming climbing increased all-time fastest elevated mounting double-digit larger bigger improved fresh"
    r" accelerating largest biggest steeper widening heavy swelling"
)
_LOW = _pattern(
    r"lower lowest falling shrinking declining weak weaker weakest slow slower slowing soft softer sluggish tepid"
    r" subdued smaller smallest fewer reduced dwindling waning cooling narrower plunging slumping sliding fading"
    r" tumbling less easing low lows muted flagging slack slowest tightest thinner"
)
_AMBIGUOUS = frozenset(
    ("high", "highs", "low", "lows", "record", "records", "fresh", "heavy", "less")
)
"""These say something of a quantity before them only in "a three-month low" or "hits a record"."""
_LEVEL_PREFIX = re.compile(
    r"record|all-time|new|fresh|historic|[\w-]+-(?:year|month|week|decade|day|quarter)"
)
_LEVELS = frozenset(("record", "high", "highs", "peak", "low", "lows", "highest", "lowest"))
_REACHES = _pattern(r"hit(?:s|ting)? reach\w* touch\w*")
_STRONG = re.compile(
    r"(?:surg|soar|plung|plummet|tumbl|slump|skyrocket|crater|nosediv|rocket|slash|tank|collaps|crash"
    r"|balloon|spik|record|tripl|doubl|halv|highest|lowest)\w*"
)
_PARTICIPLES = {
    **dict.fromkeys(("cut", "cuts", "slashed", "trimmed", "lowered", "reduced"), -1.0),
    **dict.fromkeys(("raised", "lifted", "hiked", "increased"), 1.0),
}
_LESS_THAN_EXPECTED = re.compile(
    r"\bless[ -]than[ -](?:\w+ ){0,2}?(?:expected|forecast|feared|estimated|predicted|thought|hoped)"
)


def find_movements(words: Sequence[str]) -> list[Movement]:
    """Find the movements in the words of one clause, the first word first."""
    movements: list[Movement] = []
    used: set[int] = set()
    flips = -1.0 if _LESS_THAN_EXPECTED.search(" ".join(words)) else 1.0
    for position in range(len(words)):
        if position in used:
            continue
        movement = _read_movement(words, position)
        if movement is None or used.intersection(movement.used):
            continue
        used.update((*movement.used, position))
        weight = movement.weight * flips
        movements.append(Movement(position, weight, movement.used))
    return movements


def _read_movement(words: Sequence[str], position: int) -> Movement | None:
    word = words[position]
    following = words[position + 1 : position + 4]
    if _LEVELS.intersection(following) and _REACHES.fullmatch(word):
        return Movement(position, 0.0, ())  # the level says it
    if word == "record" and following[:1] in (["low"], ["lows"]):
        return None
    return (
        _read_transitive(words, position)
        or _read_adjective(words, position)
        or _read_intransitive(words, position)
        or _read_participle(words, position)
    )


def _direction(word: str, up: re.Pattern[str], down: re.Pattern[str]) -> float:
    """1 or -1, and more for a strong word; 0 if it is neither."""
    direction = 1.0 if up.fullmatch(word) else -1.0 if down.fullmatch(word) else 0.0
    return direction * (STRONG_FACTOR if _STRONG.fullmatch(word) else 1.0)


def _read_transitive(words: Sequence[str], position: int) -> Movement | None:
    """Such as "cuts costs"."""
    direction = _direction(words[position], _RAISES, _LOWERS)
    quantity = _find_after(words, position) if direction else None
    return None if quantity is None else _build(words, position, quantity, direction)


def _read_adjective(words: Sequence[str], position: int) -> Movement | None:
    """Such as "higher costs", or "costs at a record high"."""
    direction = _direction(words[position], _HIGH, _LOW)
    if not direction:
        return None
    quantity = _find_after(words, position, distance=3)
    is_level = _is_level(words, position)
    if quantity is None and (words[position] not in _AMBIGUOUS or is_level):
        quantity = _find_before(words, position)
    return (
        _build(words, position, quantity, direction) if quantity is not None or is_level else None
    )


def _read_intransitive(words: Sequence[str], position: int) -> Movement | None:
    """Such as "costs fall", or "fall in costs"."""
    direction = _direction(words[position], _RISES, _FALLS)
    if not direction:
        return None
    is_noun = words[position + 1 : position + 2] in (["in"], ["of"])
    first, second = (_find_after, _find_before) if is_noun else (_find_before, _find_after)
    quantity = first(words, position)
    if quantity is None:
        quantity = second(words, position)
    return _build(words, position, quantity, direction)


def _read_participle(words: Sequence[str], position: int) -> Movement | None:
    """Such as "guidance cut"."""
    direction = _PARTICIPLES.get(words[position])
    if direction is None:
        return None
    return _build(words, position, _find_before(words, position), direction)


def _is_level(words: Sequence[str], position: int) -> bool:
    """Whether a word such as "high" stands in "a three-month high" or "record high"."""
    before = words[max(position - 2, 0) : position]
    if words[position] in ("record", "records"):
        return any(_REACHES.fullmatch(word) for word in before)
    return words[position] in ("high", "highs", "low", "lows", "peak") and any(
        _LEVEL_PREFIX.fullmatch(word) for word in before[-1:]
    )


def _build(words: Sequence[str], position: int, quantity: int | None, direction: float) -> Movement:
    polarity = UNKNOWN_QUANTITY_FACTOR if quantity is None else _polarity_of(words, quantity)
    weight = direction * polarity * MOVEMENT_WEIGHT
    return Movement(position, weight, () if quantity is None else (quantity,))


def _polarity_of(words: Sequence[str], quantity: int) -> float:
    before = words[max(quantity - 1, 0) : quantity]
    if words[quantity] in ("prices", "price", "bills") and COST_KINDS.intersection(before):
        return -1.0
    return QUANTITIES[words[quantity]]


def _find_before(words: Sequence[str], position: int) -> int | None:
    for index in range(position - 1, max(position - MAX_DISTANCE - 1, -1), -1):
        if words[index] in CLAUSE_WORDS:
            return None
        if words[index] in QUANTITIES:
            return index
    return None


def _find_after(words: Sequence[str], position: int, distance: int = MAX_DISTANCE) -> int | None:
    """The head of the next group of quantities: of "profit forecast", the forecast."""
    for index in range(position + 1, min(position + distance + 1, len(words))):
        if words[index] in CLAUSE_WORDS - {"for"}:
            return None
        if words[index] in QUANTITIES:
            while words[index + 1 : index + 2] and words[index + 1] in QUANTITIES:
                index += 1
            return index
    return None
