"""Reads items from RSS 2.0 and Atom 1.0 (RFC 4287).

The file is parsed while it is read, by defusedxml. A document that declares a DTD, and therefore
any that declares an entity, is rejected, and nothing is ever fetched. An entry gives its title,
link, categories (as tags), date, and its summary, which is scored for the sentiment. Long texts are
cut as they are parsed, so an entry takes bounded memory. Start at `read_rows`; `_EntryHandler`
receives the parser's events.
"""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import IO
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler, feature_namespaces
from xml.sax.xmlreader import AttributesNSImpl

from defusedxml import DefusedXmlException
from defusedxml.expatreader import create_parser

from tapewire.cli.items.rows import (
    InvalidCell,
    ItemDefaults,
    ItemRow,
    MalformedRow,
    Rows,
    UnreadableFile,
    parse_timestamp,
    shorten,
)
from tapewire.runtime.contracts.insights import (
    MAX_SOURCE_CHARACTERS,
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
    MAX_TITLE_CHARACTERS,
    NewItem,
    item_id,
)

ATOM_NAMESPACE = "http://www.w3.org/2005/Atom"
CHUNK_BYTES = 64 << 10
MAX_BYTES = 64 << 20
"""A feed has a few hundred kilobytes. The parser buffers an unfinished token."""
MAX_BUFFERED_CHARACTERS = 8 << 10
"""Characters that are kept of one text."""
MAX_CATEGORIES = 100
MAX_DEPTH = 100

_FEED_ROOTS = {
    (None, "rss"): ((None, "item"), 3),
    (ATOM_NAMESPACE, "feed"): ((ATOM_NAMESPACE, "entry"), 2),
}
"""By root element: the element of an entry, and the depth of entries and of the feed's title."""
_TEXT_ELEMENTS = {
    (None, "title"): "title", (ATOM_NAMESPACE, "title"): "title",
    (None, "link"): "link",
    (None, "guid"): "id", (ATOM_NAMESPACE, "id"): "id",
    (None, "category"): "category",
    (None, "description"): "text",
    (ATOM_NAMESPACE, "summary"): "text", (ATOM_NAMESPACE, "content"): "content",
    (None, "pubDate"): "date",
    (ATOM_NAMESPACE, "published"): "date", (ATOM_NAMESPACE, "updated"): "updated",
}  # fmt: skip
_HTML_TAG = re.compile(r"<[^<>]*>")

QualifiedName = tuple[str | None, str]


class _Entry:
    """The texts of an entry, or of the feed itself."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.texts: dict[str, str] = {}
        self.categories: list[str] = []

    def add_text(self, name: str, text: str) -> None:
        if name == "category":
            if text and len(self.categories) < MAX_CATEGORIES:
                self.categories.append(text)
        else:
            self.texts.setdefault(name, text)


class _EntryHandler(ContentHandler):
    """Receives the parser's events and collects finished entries."""

    def __init__(self, current_line: Callable[[], int | None]) -> None:
        super().__init__()
        self._current_line = current_line
        self.finished_entries: list[_Entry] = []
        self.feed = _Entry(1)
        self._entry: _Entry | None = None
        self._entry_name: QualifiedName = (None, "")
        self._entry_depth = 0
        self._depth = 0
        self._text_name: str | None = None
        """The text being collected: all of an element at `_text_depth`, with its children."""
        self._text_depth = 0
        self._text_chunks: list[str] = []
        self._remaining_characters = 0

    @property
    def line(self) -> int:
        """The parser's current line."""
        return self._current_line() or 1

    def startElementNS(  # noqa: N802
        self, name: QualifiedName, qname: str | None, attrs: AttributesNSImpl
    ) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnreadableFile(self.line, f"elements lie {MAX_DEPTH} deep within each other")
        if self._depth == 1:
            self._start_root(name, qname)
        elif self._text_name is None:
            self._start_child(name, attrs)

    def endElementNS(self, name: QualifiedName, qname: str | None) -> None:  # noqa: ARG002, N802
        if self._text_name is not None and self._depth == self._text_depth:
            target = self._entry or self.feed
            target.add_text(self._text_name, " ".join("".join(self._text_chunks).split()))
            self._text_name = None
        elif self._entry is not None and self._depth == self._entry_depth:
            self.finished_entries.append(self._entry)
            self._entry = None
        self._depth -= 1

    def characters(self, content: str) -> None:
        if self._text_name is not None and self._remaining_characters > 0:
            self._text_chunks.append(content[: self._remaining_characters])
            self._remaining_characters -= len(content)

    def _start_root(self, name: QualifiedName, qname: str | None) -> None:
        if name not in _FEED_ROOTS:
            what = shorten(qname or name[1])
            raise UnreadableFile(self.line, f"neither RSS 2.0 nor Atom: its root is {what}")
        self._entry_name, self._entry_depth = _FEED_ROOTS[name]

    def _start_child(self, name: QualifiedName, attrs: AttributesNSImpl) -> None:
        """Handle an element by its name and depth: images and sources have titles too."""
        if self._entry is None and self._depth == self._entry_depth and name == self._entry_name:
            self._entry = _Entry(self.line)
            return
        target = self._entry or self.feed
        if self._depth != self._entry_depth + (self._entry is not None):
            return
        if name == (ATOM_NAMESPACE, "category"):
            target.add_text("category", attrs.get((None, "term"), "").strip())
        elif (
            name == (ATOM_NAMESPACE, "link")
            and attrs.get((None, "rel"), "alternate") == "alternate"
        ):
            target.add_text("link", attrs.get((None, "href"), "").strip())
        elif name in _TEXT_ELEMENTS:
            self._text_name, self._text_depth = _TEXT_ELEMENTS[name], self._depth
            self._text_chunks, self._remaining_characters = [], MAX_BUFFERED_CHARACTERS


def read_rows(file: IO[bytes], defaults: ItemDefaults) -> Rows:
    """Yield every entry of the feed.

    Raises:
        UnreadableFile: The file is not a feed, or not from some line on.
    """
    parser = create_parser(forbid_dtd=True)
    entries = _EntryHandler(parser.getLineNumber)
    parser.setFeature(feature_namespaces, True)
    parser.setContentHandler(entries)
    size = 0
    while chunk := file.read(CHUNK_BYTES):
        size += len(chunk)
        if size > MAX_BYTES:
            raise UnreadableFile(entries.line, f"a feed has at most {MAX_BYTES >> 20} MiB")
        yield from _run_parser_step(partial(parser.feed, chunk), entries, defaults)
    yield from _run_parser_step(parser.close, entries, defaults)


def _run_parser_step(
    step: Callable[[], object], entries: _EntryHandler, defaults: ItemDefaults
) -> Rows:
    """Run a step of the parser and yield its finished entries, even if the step failed."""
    failure = None
    try:
        step()
    except UnreadableFile as error:
        failure = error
    except SAXParseException as error:
        line = error.getLineNumber() or entries.line
        failure = UnreadableFile(line, f"not well-formed: {error.getMessage()}")
    except DefusedXmlException:
        failure = UnreadableFile(entries.line, "it declares a DTD, which feeds do not need")
    except (SAXException, ValueError, LookupError) as error:  # such as an unknown encoding
        failure = UnreadableFile(entries.line, str(error))
    finished, entries.finished_entries = entries.finished_entries, []
    for entry in finished:
        yield _build_row(entry, entries.feed, defaults)
    if failure is not None:
        raise failure


def _build_row(entry: _Entry, feed: _Entry, defaults: ItemDefaults) -> ItemRow | MalformedRow:
    texts = entry.texts
    source = (
        defaults.source
        or html.unescape(feed.texts.get("title", ""))[:MAX_SOURCE_CHARACTERS].strip()
    )
    text = _strip_html(texts.get("text") or texts.get("content", ""))
    guid = texts.get("id", "")
    link = texts.get("link") or (guid if guid.startswith(("http://", "https://")) else None)
    try:
        at = _parse_date(texts.get("date") or texts.get("updated", ""))
    except InvalidCell as error:
        return MalformedRow(entry.line, str(error))
    item = NewItem(
        title=html.unescape(texts.get("title", "")) or text[:MAX_TITLE_CHARACTERS],
        source=source,
        url=link,
        tickers=defaults.tickers,
        tags=_merge_tags(entry.categories, defaults.tags),
        text=text,
        timestamp=at,
        id=item_id(source, guid) if guid else None,
    )
    return ItemRow(entry.line, item)


def _merge_tags(categories: list[str], tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return `tags` and as many categories as fit. Too many categories do not reject an entry."""
    short = [one for one in categories if len(one) <= MAX_TAG_CHARACTERS]
    return (*tags, *list(dict.fromkeys(short))[: max(MAX_TAGS - len(tags), 0)])


def _parse_date(text: str) -> datetime | None:
    """Parse a date of RSS or Atom; without an offset it is UTC. Raises InvalidCell."""
    try:
        at = parsedate_to_datetime(text) if text else None
    except (ValueError, TypeError, OverflowError):
        at = parse_timestamp(text)
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _strip_html(text: str) -> str:
    """Remove HTML tags, which summaries often contain."""
    return " ".join(html.unescape(_HTML_TAG.sub(" ", text)).split())
