"""Parses the dates of feeds: ISO 8601 and RFC 822, with an offset or any usual name of a zone.

Names of zones are not unique. `ZONE_OFFSETS` has the meaning that RFC 822 and feedparser give a
name, and otherwise that of the larger market; `_OFFSETS_BY_LANGUAGE` has another one for feeds in
the language of another market. An unknown name is an error: guessing would date an item hours off.
"""

import re
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

from tapewire.cli.items.rows import InvalidCell, shorten

MAX_DATE_CHARACTERS = 100

_HOURS = {
    "UTC": 0, "UT": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 1, "BST": 1,
    # Europe and Africa
    "CET": 1, "CEST": 2, "MET": 1, "MEST": 2, "MEZ": 1, "MESZ": 2, "WAT": 1, "CAT": 2, "SAST": 2,
    "EET": 2, "EEST": 3, "EAT": 3, "MSK": 3, "MSD": 4, "TRT": 3, "AZOT": -1, "CVT": -1,
    # Asia
    "IST": 5.5, "IDT": 3, "IRST": 3.5, "IRDT": 4.5, "GST": 4, "AZT": 4, "GET": 4, "AFT": 4.5,
    "PKT": 5, "UZT": 5, "YEKT": 5, "NPT": 5.75, "BDT": 6, "MMT": 6.5, "ICT": 7, "WIB": 7,
    "KRAT": 7, "NOVT": 7, "OMST": 6, "HKT": 8, "SGT": 8, "MYT": 8, "PHT": 8, "PHST": 8, "WITA": 8,
    "IRKT": 8, "JST": 9, "KST": 9, "WIT": 9, "YAKT": 9, "VLAT": 10, "MAGT": 11, "PETT": 12,
    # Australia and Oceania
    "AWST": 8, "ACST": 9.5, "ACDT": 10.5, "AEST": 10, "AEDT": 11, "LHST": 10.5, "LHDT": 11,
    "CHST": 10, "NZST": 12, "NZDT": 13, "FJT": 12, "TOT": 13, "SST": -11,
    # America
    "NST": -3.5, "NDT": -2.5, "AST": -4, "ADT": -3, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5,
    "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "HDT": -9,
    "BRT": -3, "BRST": -2, "ART": -3, "UYT": -3, "CLT": -4, "CLST": -3, "PYT": -4, "BOT": -4,
    "VET": -4, "AMT": -4, "COT": -5, "PET": -5, "ECT": -5, "FKST": -3, "GFT": -3, "GYT": -4,
}  # fmt: skip
ZONE_OFFSETS = {name: timedelta(hours=hours) for name, hours in _HOURS.items()}
_OFFSETS_BY_LANGUAGE = {
    ("CST", "zh"): timedelta(hours=8),
    ("IST", "he"): timedelta(hours=2), ("IST", "ga"): timedelta(hours=1),
    ("BST", "bn"): timedelta(hours=6), ("AST", "ar"): timedelta(hours=3),
    ("AMT", "hy"): timedelta(hours=4), ("EST", "en-au"): timedelta(hours=10),
    ("PST", "fil"): timedelta(hours=8), ("SST", "ms"): timedelta(hours=8),
}  # fmt: skip
"""By name and language, or its beginning."""
_GENERAL_ZONES = {
    "ET": "America/New_York", "CT": "America/Chicago", "MT": "America/Denver",
    "PT": "America/Los_Angeles",
}  # fmt: skip
"""Names without summer or standard time: the date decides."""

_TWELVE_HOURS = re.compile(
    r"\b(?P<hour>0?[1-9]|1[0-2])(?P<rest>:[0-9]{2}(?::[0-9]{2})?)\s*(?P<half>[AP])\.?M\b\.?",
    re.IGNORECASE,
)
_ZONE_BEFORE_YEAR = re.compile(
    r"([A-Za-z]{3} [A-Za-z]{3} [0-9]{1,2} [0-9:]+) ([A-Za-z]+) ([0-9]{4})"
)
"""As the command `date` writes it."""
_TRAILING_COMMENT = re.compile(r"\s*\([^()]*\)$")
_ZONE = re.compile(
    r"(?P<at>.*?[0-9])\s*(?:"
    r"(?:GMT|UTC|UT)?\s?(?P<sign>[+-])(?P<hours>[0-9]{1,2})(?::?(?P<minutes>[0-9]{2}))?"
    r"|(?P<name>[A-Za-z][A-Za-z_]*(?:/[A-Za-z_+-]+)*))$",
    re.IGNORECASE,
)


def parse_feed_date(
    text: str, fallback: time.struct_time | None = None, language: str = ""
) -> datetime:
    """Parse a date of a feed and convert it to UTC. Without a zone it is UTC.

    Args:
        text: The date as the feed has it.
        fallback: What feedparser reads from it (in UTC), for formats that only feedparser knows.
        language: The feed's language, which decides what an ambiguous name of a zone means.

    Raises:
        InvalidCell: It is not a date, or the zone is unknown.
    """
    line = _normalize(text)
    parsed = _parse_iso(line)
    if parsed is None:
        parsed = _parse_with_zone(line, language)
    if parsed is None and fallback is not None and not line[-1:].isalpha():
        parsed = _build_datetime(fallback)
    try:
        if parsed is not None:
            return parsed.replace(tzinfo=parsed.tzinfo or UTC).astimezone(UTC)
    except OverflowError:  # beyond the year 9999
        pass
    raise InvalidCell(f"timestamp {shorten(text)} is not like 2026-03-02T14:30:00Z")


def _normalize(text: str) -> str:
    """One line, in 24 hours, with the zone at the end and without a comment."""
    line = _TRAILING_COMMENT.sub("", " ".join(text.split())[:MAX_DATE_CHARACTERS])
    if match := _ZONE_BEFORE_YEAR.fullmatch(line):
        line = f"{match[1]} {match[3]} {match[2]}"
    return _TWELVE_HOURS.sub(_to_24_hours, line)


def _to_24_hours(match: re.Match[str]) -> str:
    hour = int(match["hour"]) % 12 + (12 if match["half"] in "Pp" else 0)
    return f"{hour:02}{match['rest']}"


def _parse_iso(line: str) -> datetime | None:
    try:
        return datetime.fromisoformat(line)
    except ValueError:
        return None


def _parse_with_zone(line: str, language: str) -> datetime | None:
    """Parse a time that is followed by a zone; None if it is none."""
    match = _ZONE.match(line)
    if match is None:
        return None if line[-1:].isalpha() else _parse_local(line)
    local = _parse_local(match["at"])
    if local is None or local.tzinfo is not None:
        return local if local is None else _parse_local(line)
    return local.replace(tzinfo=_find_zone(match, language))


def _parse_local(line: str) -> datetime | None:
    """Parse a time, usually without its zone."""
    at = _parse_iso(line)
    if at is not None:
        return at
    try:
        return parsedate_to_datetime(line)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _find_zone(match: re.Match[str], language: str) -> tzinfo:
    if match["name"] is None:
        offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
        if offset >= timedelta(days=1):
            raise InvalidCell(f"timestamp has an offset of {match['hours']} hours")
        return timezone(-offset if match["sign"] == "-" else offset)
    name = match["name"].upper()
    for (ambiguous, spoken), offset in _OFFSETS_BY_LANGUAGE.items():
        if name == ambiguous and language.lower().startswith(spoken):
            return timezone(offset)
    if name in ZONE_OFFSETS:
        return timezone(ZONE_OFFSETS[name])
    if len(name) == 1:
        return UTC  # RFC 5322, section 4.3, on the letters of military zones
    try:
        return ZoneInfo(_GENERAL_ZONES.get(name, match["name"]))
    except (ValueError, OSError, LookupError):
        raise InvalidCell(f"timestamp has an unknown zone, {shorten(match['name'])}") from None


def _build_datetime(utc: time.struct_time) -> datetime | None:
    try:
        return datetime(*utc[:5], min(utc[5], 59), tzinfo=UTC)
    except ValueError:
        return None
