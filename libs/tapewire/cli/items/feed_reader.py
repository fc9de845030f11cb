"""Items from RSS 2.0 and Atom 1.0 (RFC 4287).

The file is parsed as it is read, by defusedxml: a document that declares a DTD, and so any that
declares an entity, is refused, and nothing is ever fetched. Of each entry are taken its title,
link, categories (as tags), date, and summary, which is read for the sentiment. What is too long is
cut where it is heard, so that no entry grows memory. Start at `rows`; `_Entries` is the listener.
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
"""A feed is a few hundred kilobytes; the parser holds what has no end yet."""
MAX_BUFFERED_CHARACTERS = 8 << 10
"""What is heard of one text."""
MAX_CATEGORIES = 100
MAX_DEPTH = 100

_FEED_ROOTS = {
    (None, "rss"): ((None, "item"), 3),
    (ATOM_NAMESPACE, "feed"): ((ATOM_NAMESPACE, "entry"), 2),
}
"""What the root is, what an entry is, and how deep entries and the feed's own title lie."""
_TEXT_ELEMENTS = {
    (None, "title"): "title", (ATOM_NAMESPACE, "title"): "title",
    (None, "link"): "link",
    (None, "guid"): "id", (ATOM_NAMESPACE, "id"): "id",
    (None, "category"): "category",
    (None, "description"): "text", (ATOM_NAMESPACE, "summary"): "text", (ATOM_NAMESPACE, "content"): "content",
    (None, "pubDate"): "date", (ATOM_NAMESPACE, "published"): "date", (ATOM_NAMESPACE, "updated"): "updated",
}  # fmt: skip
_HTML_TAG = re.compile(r"<[^<>]*>")

QualifiedName = tuple[str | None, str]


class _Entry:
    """What was heard of an entry, or of the feed itself."""

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
    """Listens to the parser; `done` are the entries that ended."""

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
        """The text that is heard now: of an element at `_hearing_depth`, with all that is in it."""
        self._text_depth = 0
        self._text_chunks: list[str] = []
        self._remaining_characters = 0

    @property
    def line(self) -> int:
        """Where the parser is."""
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
            of = self._entry or self.feed
            of.add_text(self._text_name, " ".join("".join(self._text_chunks).split()))
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
        """An image of the feed has a title too, and so has the source of an entry: what counts is
        where a name is."""
        if self._entry is None and self._depth == self._entry_depth and name == self._entry_name:
            self._entry = _Entry(self.line)
            return
        of = self._entry or self.feed
        if self._depth != self._entry_depth + (self._entry is not None):
            return
        if name == (ATOM_NAMESPACE, "category"):
            of.add_text("category", attrs.get((None, "term"), "").strip())
        elif (
            name == (ATOM_NAMESPACE, "link")
            and attrs.get((None, "rel"), "alternate") == "alternate"
        ):
            of.add_text("link", attrs.get((None, "href"), "").strip())
        elif name in _TEXT_ELEMENTS:
            self._text_name, self._text_depth = _TEXT_ELEMENTS[name], self._depth
            self._text_chunks, self._remaining_characters = [], MAX_BUFFERED_CHARACTERS


def read_rows(file: IO[bytes], defaults: ItemDefaults) -> Rows:
    """Every entry of the feed.

    Raises:
        Unreadable: the file is no feed, or none from some line on.
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
    """What came of a step of the parser, also of one that failed in the middle."""
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
    except (SAXException, ValueError, LookupError) as error:  # such as an encoding of its own
        failure = UnreadableFile(entries.line, str(error))
    done, entries.finished_entries = entries.finished_entries, []
    for entry in done:
        yield _build_row(entry, entries.feed, defaults)
    if failure is not None:
        raise failure


def _build_row(entry: _Entry, feed: _Entry, defaults: ItemDefaults) -> ItemRow | MalformedRow:
    heard = entry.texts
    source = (
        defaults.source
        or html.unescape(feed.texts.get("title", ""))[:MAX_SOURCE_CHARACTERS].strip()
    )
    text = _strip_html(heard.get("text") or heard.get("content", ""))
    named = heard.get("id", "")
    link = heard.get("link") or (named if named.startswith(("http://", "https://")) else None)
    try:
        at = _parse_date(heard.get("date") or heard.get("updated", ""))
    except InvalidCell as error:
        return MalformedRow(entry.line, str(error))
    item = NewItem(
        title=html.unescape(heard.get("title", "")) or text[:MAX_TITLE_CHARACTERS],
        source=source,
        url=link,
        tickers=defaults.tickers,
        tags=_merge_tags(entry.categories, defaults.tags),
        text=text,
        timestamp=at,
        id=item_id(source, named) if named else None,
    )
    return ItemRow(entry.line, item)


def _merge_tags(categories: list[str], tags: tuple[str, ...]) -> tuple[str, ...]:
    """The given ones, and as many categories as there is room for: how a feed sorts its entries is
    no reason to refuse one."""
    short = [one for one in categories if len(one) <= MAX_TAG_CHARACTERS]
    return (*tags, *list(dict.fromkeys(short))[: max(MAX_TAGS - len(tags), 0)])


def _parse_date(text: str) -> datetime | None:
    """As RSS writes dates, or as Atom does; without an offset they are UTC. Raises BadCell."""
    try:
        at = parsedate_to_datetime(text) if text else None
    except (ValueError, TypeError, OverflowError):
        at = parse_timestamp(text)
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _strip_html(text: str) -> str:
    """Without the HTML that summaries are often written in."""
    return " ".join(html.unescape(_HTML_TAG.sub(" ", text)).split())
