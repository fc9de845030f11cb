"""Reads items from feeds: RSS 0.9x to 2.0, RDF (RSS 1.0) and Atom.

`feed_text` decodes the file, which has a bounded size and no DTD, and `feed_sections` splits it
into entries. Each entry is parsed by feedparser on its own, strictly or, if it is not well-formed,
leniently. So a blemish costs at most its entry, and a row or a notice says which. Nothing is ever
fetched. An entry gives its title, link, categories (as tags), date, and its summary, which is
scored for the sentiment. Start at `read_rows`.
"""

import html
import io
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any

import feedparser  # type: ignore[import-untyped]
import msgspec

from tapewire.cli.items.feed_dates import parse_feed_date
from tapewire.cli.items.feed_links import UnusableLink, resolve_link
from tapewire.cli.items.feed_sections import FeedSections, Section, split_feed
from tapewire.cli.items.feed_text import decode_feed
from tapewire.cli.items.rows import (
    InvalidCell,
    ItemDefaults,
    ItemRow,
    MalformedRow,
    Notice,
    Row,
    Rows,
    UnreadableFile,
    shorten,
)
from tapewire.runtime.contracts.insights import (
    MAX_SOURCE_CHARACTERS,
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
    MAX_TITLE_CHARACTERS,
    MAX_URL_CHARACTERS,
    NewItem,
    item_id,
)

MAX_BYTES = 16 << 20
"""A feed has a few hundred kilobytes."""
MAX_ENTRIES = 20_000
"""Each takes about a millisecond."""
MAX_ENTRY_CHARACTERS = 1 << 20
"""An entry with its whole article and small pictures has less."""
MAX_TEXT_CHARACTERS = 8 << 10
"""Characters that are examined of one text."""
MAX_LABEL_CHARACTERS = 60

_HTML_TAG = re.compile(r"<[^<>]*>")
_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|big|code|del|em|font|i|ins|mark|q|s|small|span|strike|strong|sub|sup|tt|u|wbr)"
    r"\b[^<>]*>",
    re.IGNORECASE,
)
_BLOCK_TAG = re.compile(
    r"</?(?:blockquote|br|center|div|h[1-6]|hr|img|li|ol|p|pre|ul)\b[^<>]*>", re.IGNORECASE
)
_DATE_KEYS = ("published", "updated", "created")
"""Where feedparser has the dates of an entry: `dc:date` is among them."""
_ERROR_POSITION = re.compile(r"^<unknown>:\d+:\d+: ")
_PARSER_HEADERS = {"content-type": "application/xml; charset=utf-8"}


class _FeedContext(msgspec.Struct, frozen=True):
    """What the rows of a feed have in common: the source's name, the address that links are
    relative to, and the language."""

    source: str
    base: str
    language: str


class _ParsedDocument(msgspec.Struct, frozen=True):
    """The feed and the entries of a document as feedparser reads them, and what was not
    well-formed in it, if anything."""

    feed: dict[str, Any]
    entries: list[dict[str, Any]]
    flaw: str | None


def read_rows(file: IO[bytes], defaults: ItemDefaults) -> Rows:
    """Yield every entry of the feed, and a notice of whatever is repaired.

    Raises:
        UnreadableFile: The file is not a feed, or is longer than `MAX_BYTES`, or ends within it.
    """
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnreadableFile(1, f"a feed has at most {MAX_BYTES >> 20} MiB")
    decoded = decode_feed(data)
    yield from decoded.notices
    sections = split_feed(decoded.text, decoded.first_line)
    feed = _describe_feed(sections, defaults)
    flaws: set[str] = set()
    for index, section in enumerate(sections.sections):
        if index == MAX_ENTRIES:
            raise UnreadableFile(section.line, f"a feed has at most {MAX_ENTRIES} entries")
        is_cut = not section.is_closed and index == len(sections.sections) - 1
        if is_cut and not sections.is_complete:
            yield MalformedRow(section.line, f"entry {index + 1}: the file ends within it")
        else:
            yield from _read_section(section, index + 1, sections, feed, defaults, flaws)
    if not sections.is_complete:
        raise UnreadableFile(sections.last_line, "not well-formed: the feed's end tag is missing")


def _describe_feed(sections: FeedSections, defaults: ItemDefaults) -> _FeedContext:
    feed = _parse(sections.description).feed
    own_links = [
        link.get("href", "")
        for link in feed.get("links", ())
        if link.get("rel") in ("alternate", "self")
    ]
    title = " ".join(html.unescape(_strip_tags(feed.get("title", ""))).split())
    return _FeedContext(
        source=defaults.source or _cut(_strip_controls(title), MAX_SOURCE_CHARACTERS),
        base=next(filter(None, (feed.get("link", ""), *own_links)), ""),
        language=feed.get("language", ""),
    )


def _read_section(
    section: Section,
    number: int,
    sections: FeedSections,
    feed: _FeedContext,
    defaults: ItemDefaults,
    flaws: set[str],
) -> Iterator[Row]:
    """Yield the row of an entry, after notices of what is not as it should be.

    `flaws` are the kinds of flaw that were noticed before; each is noticed once.
    """
    label = f"entry {number}"
    if not section.has_start:
        yield MalformedRow(section.line, f"{label}: its start tag is damaged")
        return
    if len(section.text) > MAX_ENTRY_CHARACTERS:
        reason = f"{len(section.text)} characters, at most {MAX_ENTRY_CHARACTERS}"
        yield MalformedRow(section.line, f"{label}: {reason}", "size")
        return
    parsed = _parse(f"{sections.start_tags}{section.text}{sections.end_tags}")
    if not parsed.entries:
        reason = parsed.flaw or "nothing of it can be read"
        yield MalformedRow(section.line, f"{label}: not well-formed: {reason}")
        return
    entry = parsed.entries[0]
    title = _read_title(entry)
    label = f"{label} '{_cut(title, MAX_LABEL_CHARACTERS)}'" if title else label
    if parsed.flaw is not None and parsed.flaw not in flaws:
        flaws.add(parsed.flaw)
        yield Notice(section.line, f"{label}: not well-formed: {parsed.flaw}; read as it is")
    yield from _build_row(entry, title, section.line, label, feed, defaults)


def _parse(document: str) -> _ParsedDocument:
    """Parse a document, which is never taken for an address or the name of a file."""
    try:
        result = feedparser.parse(
            io.BytesIO(document.encode()),
            response_headers=dict(_PARSER_HEADERS),
            resolve_relative_uris=False,
            sanitize_html=False,
        )
    except Exception as error:  # whatever a damaged document provokes in the lenient parser
        return _ParsedDocument({}, [], f"{type(error).__name__}: {error}")
    flaw = None
    if result.get("bozo"):
        flaw = _ERROR_POSITION.sub("", str(result.get("bozo_exception", "")))
    # `dict`, because the result answers for missing keys with those of others.
    return _ParsedDocument(dict(result["feed"]), [dict(entry) for entry in result["entries"]], flaw)


def _build_row(
    entry: dict[str, Any],
    title: str,
    line: int,
    label: str,
    feed: _FeedContext,
    defaults: ItemDefaults,
) -> Iterator[Row]:
    text = _read_text(entry)
    guid = str(entry.get("id", "")).strip()
    try:
        at = _read_date(entry, feed.language)
    except InvalidCell as error:
        yield MalformedRow(line, f"{label}: {error}", error.column)
        return
    url = None
    if link := _find_link(entry, guid):
        try:
            url = resolve_link(link, feed.base)
            if len(url) > MAX_URL_CHARACTERS:
                raise UnusableLink(f"has {len(url)} characters, at most {MAX_URL_CHARACTERS}")
        except UnusableLink as error:
            url = None
            yield Notice(line, f"{label}: its link {shorten(link)} {error}; left out")
    whole_title = title or text
    identity = guid or ("" if url else whole_title[MAX_TITLE_CHARACTERS:] and whole_title)
    item = NewItem(
        title=_cut(whole_title, MAX_TITLE_CHARACTERS),
        source=feed.source,
        url=url,
        tickers=defaults.tickers,
        tags=_read_tags(entry, defaults.tags),
        text=text,
        timestamp=at,
        id=item_id(feed.source, identity) if identity else None,
    )
    yield ItemRow(line, item, label)


def _read_title(entry: dict[str, Any]) -> str:
    title = str(entry.get("title", ""))[:MAX_TEXT_CHARACTERS]
    return " ".join(_strip_controls(html.unescape(_strip_tags(title))).split())


def _read_text(entry: dict[str, Any]) -> str:
    contents = entry.get("content") or [{}]
    text = str(entry.get("summary") or contents[0].get("value", ""))[:MAX_TEXT_CHARACTERS]
    return " ".join(_strip_controls(html.unescape(_HTML_TAG.sub(" ", text))).split())


def _read_date(entry: dict[str, Any], language: str) -> datetime | None:
    """The first date of the entry that can be read. Raises InvalidCell if none of several can."""
    failure: InvalidCell | None = None
    for key in _DATE_KEYS:
        text = str(entry.get(key, ""))
        if not text.strip():
            continue
        try:
            return parse_feed_date(text, entry.get(f"{key}_parsed"), language)
        except InvalidCell as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return None


def _find_link(entry: dict[str, Any], guid: str) -> str:
    """The entry's link, or its id if that is one. feedparser takes any id for a link."""
    link = str(entry.get("link", ""))
    is_web_id = guid.startswith(("http://", "https://"))
    return link if link and link != guid else guid if is_web_id else ""


def _read_tags(entry: dict[str, Any], tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return `tags` and as many categories as fit. Too many categories do not reject an entry."""
    terms = [
        " ".join(_strip_controls(html.unescape(str(tag.get("term") or ""))).split())
        for tag in entry.get("tags", ())
    ]
    short = [term for term in terms if 1 <= len(term.lower()) <= MAX_TAG_CHARACTERS]
    return (*tags, *list(dict.fromkeys(short))[: max(MAX_TAGS - len(tags), 0)])


def _strip_tags(text: str) -> str:
    """Remove the HTML tags that titles have, and leave anything else between angle brackets."""
    return _BLOCK_TAG.sub(" ", _INLINE_TAG.sub("", text))


def _strip_controls(text: str) -> str:
    return "".join(
        " " if unicodedata.category(character) in ("Cc", "Cs") else character for character in text
    )


def _cut(text: str, max_characters: int) -> str:
    """Return `text`, cut with an ellipsis if it is longer than `max_characters`."""
    return text if len(text) <= max_characters else f"{text[: max_characters - 1].rstrip()}…"
