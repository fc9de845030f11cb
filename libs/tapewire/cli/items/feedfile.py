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
    BadCell,
    Extra,
    Malformed,
    Row,
    Rows,
    Unreadable,
    shown,
    timestamp,
)
from tapewire.runtime.contracts.insights import (
    MOST_TAGS,
    SOURCE_CHARACTERS,
    TAG_CHARACTERS,
    TITLE_CHARACTERS,
    NewItem,
    item_id,
)

ATOM = "http://www.w3.org/2005/Atom"
CHUNK_BYTES = 64 << 10
MOST_BYTES = 64 << 20
"""A feed is a few hundred kilobytes; the parser holds what has no end yet."""
HEARD_CHARACTERS = 8 << 10
"""What is heard of one text."""
MOST_CATEGORIES = 100
MOST_DEPTH = 100

_FEEDS = {(None, "rss"): ((None, "item"), 3), (ATOM, "feed"): ((ATOM, "entry"), 2)}
"""What the root is, what an entry is, and how deep entries and the feed's own title lie."""
_NAMES = {
    (None, "title"): "title", (ATOM, "title"): "title",
    (None, "link"): "link",
    (None, "guid"): "id", (ATOM, "id"): "id",
    (None, "category"): "category",
    (None, "description"): "text", (ATOM, "summary"): "text", (ATOM, "content"): "content",
    (None, "pubDate"): "date", (ATOM, "published"): "date", (ATOM, "updated"): "updated",
}  # fmt: skip
_TAG = re.compile(r"<[^<>]*>")

Name = tuple[str | None, str]


class _Entry:
    """What was heard of an entry, or of the feed itself."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.texts: dict[str, str] = {}
        self.categories: list[str] = []

    def hear(self, name: str, text: str) -> None:
        if name == "category":
            if text and len(self.categories) < MOST_CATEGORIES:
                self.categories.append(text)
        else:
            self.texts.setdefault(name, text)


class _Entries(ContentHandler):
    """Listens to the parser; `done` are the entries that ended."""

    def __init__(self, line: Callable[[], int | None]) -> None:
        super().__init__()
        self._line = line
        self.done: list[_Entry] = []
        self.feed = _Entry(1)
        self._entry: _Entry | None = None
        self._entry_name: Name = (None, "")
        self._entry_depth = 0
        self._depth = 0
        self._hearing: str | None = None
        """The text that is heard now: of an element at `_hearing_depth`, with all that is in it."""
        self._hearing_depth = 0
        self._heard: list[str] = []
        self._room = 0

    @property
    def line(self) -> int:
        """Where the parser is."""
        return self._line() or 1

    def startElementNS(  # noqa: N802
        self, name: Name, qname: str | None, attrs: AttributesNSImpl
    ) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise Unreadable(self.line, f"elements lie {MOST_DEPTH} deep within each other")
        if self._depth == 1:
            self._root(name, qname)
        elif self._hearing is None:
            self._child(name, attrs)

    def endElementNS(self, name: Name, qname: str | None) -> None:  # noqa: ARG002, N802
        if self._hearing is not None and self._depth == self._hearing_depth:
            of = self._entry or self.feed
            of.hear(self._hearing, " ".join("".join(self._heard).split()))
            self._hearing = None
        elif self._entry is not None and self._depth == self._entry_depth:
            self.done.append(self._entry)
            self._entry = None
        self._depth -= 1

    def characters(self, content: str) -> None:
        if self._hearing is not None and self._room > 0:
            self._heard.append(content[: self._room])
            self._room -= len(content)

    def _root(self, name: Name, qname: str | None) -> None:
        if name not in _FEEDS:
            what = shown(qname or name[1])
            raise Unreadable(self.line, f"neither RSS 2.0 nor Atom: its root is {what}")
        self._entry_name, self._entry_depth = _FEEDS[name]

    def _child(self, name: Name, attrs: AttributesNSImpl) -> None:
        """An image of the feed has a title too, and so has the source of an entry: what counts is
        where a name is."""
        if self._entry is None and self._depth == self._entry_depth and name == self._entry_name:
            self._entry = _Entry(self.line)
            return
        of = self._entry or self.feed
        if self._depth != self._entry_depth + (self._entry is not None):
            return
        if name == (ATOM, "category"):
            of.hear("category", attrs.get((None, "term"), "").strip())
        elif name == (ATOM, "link") and attrs.get((None, "rel"), "alternate") == "alternate":
            of.hear("link", attrs.get((None, "href"), "").strip())
        elif name in _NAMES:
            self._hearing, self._hearing_depth = _NAMES[name], self._depth
            self._heard, self._room = [], HEARD_CHARACTERS


def rows(file: IO[bytes], extra: Extra) -> Rows:
    """Every entry of the feed.

    Raises:
        Unreadable: the file is no feed, or none from some line on.
    """
    parser = create_parser(forbid_dtd=True)
    entries = _Entries(parser.getLineNumber)
    parser.setFeature(feature_namespaces, True)
    parser.setContentHandler(entries)
    size = 0
    while chunk := file.read(CHUNK_BYTES):
        size += len(chunk)
        if size > MOST_BYTES:
            raise Unreadable(entries.line, f"a feed has at most {MOST_BYTES >> 20} MiB")
        yield from _parsed(partial(parser.feed, chunk), entries, extra)
    yield from _parsed(parser.close, entries, extra)


def _parsed(step: Callable[[], object], entries: _Entries, extra: Extra) -> Rows:
    """What came of a step of the parser, also of one that failed in the middle."""
    failure = None
    try:
        step()
    except Unreadable as error:
        failure = error
    except SAXParseException as error:
        line = error.getLineNumber() or entries.line
        failure = Unreadable(line, f"not well-formed: {error.getMessage()}")
    except DefusedXmlException:
        failure = Unreadable(entries.line, "it declares a DTD, which feeds do not need")
    except (SAXException, ValueError, LookupError) as error:  # such as an encoding of its own
        failure = Unreadable(entries.line, str(error))
    done, entries.done = entries.done, []
    for entry in done:
        yield _row(entry, entries.feed, extra)
    if failure is not None:
        raise failure


def _row(entry: _Entry, feed: _Entry, extra: Extra) -> Row | Malformed:
    heard = entry.texts
    source = extra.source or html.unescape(feed.texts.get("title", ""))[:SOURCE_CHARACTERS].strip()
    text = _plain(heard.get("text") or heard.get("content", ""))
    named = heard.get("id", "")
    link = heard.get("link") or (named if named.startswith(("http://", "https://")) else None)
    try:
        at = _date(heard.get("date") or heard.get("updated", ""))
    except BadCell as error:
        return Malformed(entry.line, str(error))
    item = NewItem(
        title=html.unescape(heard.get("title", "")) or text[:TITLE_CHARACTERS],
        source=source,
        url=link,
        tickers=extra.tickers,
        tags=_tags(entry.categories, extra.tags),
        text=text,
        timestamp=at,
        id=item_id(source, named) if named else None,
    )
    return Row(entry.line, item)


def _tags(categories: list[str], given: tuple[str, ...]) -> tuple[str, ...]:
    """The given ones, and as many categories as there is room for: how a feed sorts its entries is
    no reason to refuse one."""
    short = [one for one in categories if len(one) <= TAG_CHARACTERS]
    return (*given, *list(dict.fromkeys(short))[: max(MOST_TAGS - len(given), 0)])


def _date(text: str) -> datetime | None:
    """As RSS writes dates, or as Atom does; without an offset they are UTC. Raises BadCell."""
    try:
        at = parsedate_to_datetime(text) if text else None
    except (ValueError, TypeError, OverflowError):
        at = timestamp(text)
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _plain(text: str) -> str:
    """Without the HTML that summaries are often written in."""
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())
