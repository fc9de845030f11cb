"""Reading RSS and Atom feeds: the fields of entries, and protection against hostile files."""

import contextlib
import io
import time
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapewire.cli.items import feed_reader
from tapewire.cli.items.feed_reader import CHUNK_BYTES, MAX_BUFFERED_CHARACTERS
from tapewire.cli.items.rows import ItemDefaults, ItemRow, MalformedRow, UnreadableFile
from tapewire.runtime.contracts.insights import NewItem, item_id

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Without time limits: a busy machine must not fail an example."""
NO_DEFAULTS = ItemDefaults()

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/">
 <channel>
  <image><title>Logo</title><link>http://logo.example</link></image>
  <title>Example Wire</title>
  <item>
   <title>IBM &amp;amp; friends <![CDATA[<up>]]></title>
   <link>https://news.example/1</link>
   <guid isPermaLink="false">one</guid>
   <category>Tech</category><category> Tech </category><category>Stocks</category>
   <pubDate>Mon, 02 Mar 2026 09:30:00 -0500</pubDate>
   <description>&lt;p&gt;A &lt;b&gt;good&lt;/b&gt; day&lt;/p&gt;</description>
   <media:group><media:title>no</media:title></media:group>
  </item>
  <item>
   <guid>https://news.example/2</guid>
   <description>Only a description</description>
   <source url="http://x"><title>no</title></source>
  </item>
 </channel>
</rss>
"""

ATOM = """<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom">
 <title>Atom Wire</title>
 <link rel="self" href="http://self.example"/>
 <entry>
  <id>urn:1</id>
  <title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">IBM <b>up</b></div></title>
  <link rel="self" href="http://self.example/1"/><link href="https://news.example/1"/>
  <source><title>no</title><id>no</id></source>
  <category term="Tech" label="no"/>
  <updated>2026-03-02T14:30:00Z</updated>
  <content type="html">&lt;p&gt;good</content>
 </entry>
 <entry><title>Second</title><published>2026-03-01T00:00:00+01:00</published>
  <updated>2026-03-02T14:30:00Z</updated><summary>short</summary><content>long</content></entry>
</feed>
"""


def read(data: str | bytes, extra: ItemDefaults = NO_DEFAULTS) -> list[ItemRow | MalformedRow]:
    return list(feed_reader.read_rows(io.BytesIO(_bytes(data)), extra))


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def items(data: str | bytes, extra: ItemDefaults = NO_DEFAULTS) -> list[NewItem]:
    return [row.item for row in read(data, extra) if isinstance(row, ItemRow)]


def rss(*entries: str, head: str = "<title>W</title>") -> str:
    return f"<rss version='2.0'><channel>{head}{''.join(entries)}</channel></rss>"


def unreadable(data: str | bytes) -> tuple[list[NewItem], str]:
    """Return the items that were read before the failure, and the error."""
    seen: list[NewItem] = []
    try:
        for row in feed_reader.read_rows(io.BytesIO(_bytes(data)), NO_DEFAULTS):
            seen += [row.item] if isinstance(row, ItemRow) else []
    except UnreadableFile as failure:
        return seen, str(failure)
    raise AssertionError(f"it was read: {seen}")


def test_rss_entries_are_read() -> None:
    one, other = items(RSS)
    assert (one.title, one.source) == ("IBM & friends <up>", "Example Wire")
    assert (one.url, one.tags) == ("https://news.example/1", ("Tech", "Stocks"))
    assert one.timestamp == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert one.text == "A good day"
    assert one.id == item_id("Example Wire", "one")
    assert (other.title, other.url) == ("Only a description", "https://news.example/2")
    assert [row.line for row in read(RSS)] == [6, 15]


def test_atom_entries_are_read() -> None:
    one, other = items(ATOM)
    assert (one.title, one.source, one.tags) == ("IBM up", "Atom Wire", ("Tech",))
    assert (one.url, one.text) == ("https://news.example/1", "good")
    assert one.id == item_id("Atom Wire", "urn:1")
    assert (other.url, other.id, other.text) == (None, None, "short")
    assert other.timestamp is not None
    assert other.timestamp.astimezone(UTC) == datetime(2026, 2, 28, 23, tzinfo=UTC)


def test_command_line_options_are_added_to_entries() -> None:
    many = "".join(f"<category>c{number}</category>" for number in range(20))
    long = f"<category>{'x' * 41}</category>"
    extra = ItemDefaults(source="Mine", tickers=("IBM",), tags=("a", "b"))
    (item,) = items(rss(f"<item><title>t</title>{long}{many}</item>"), extra)
    assert (item.source, item.tickers) == ("Mine", ("IBM",))
    assert item.tags == ("a", "b", *[f"c{number}" for number in range(8)])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_declared_encodings_are_decoded(encoding: str) -> None:
    head = f"<?xml version='1.0' encoding='{encoding.removesuffix('-sig')}'?>"
    (item,) = items((head + rss("<item><title>Zürich</title></item>")).encode(encoding))
    assert item.title == "Zürich"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("Mon, 02 Mar 2026 14:30:00 GMT", "2026-03-02T14:30:00"),
        ("02 Mar 2026 14:30:00 -0000", "2026-03-02T14:30:00"),
        ("Mon, 02 Mar 2026 09:30:00 EST", "2026-03-02T14:30:00"),
        ("2026-03-02T14:30:00Z", "2026-03-02T14:30:00"),
        ("2026-03-02", "2026-03-02T00:00:00"),
    ],
)
def test_date_formats_of_feeds_are_parsed(text: str, utc: str) -> None:
    (item,) = items(rss(f"<item><title>t</title><pubDate>{text}</pubDate></item>"))
    assert item.timestamp is not None
    assert item.timestamp.astimezone(UTC).replace(tzinfo=None).isoformat() == utc


def test_malformed_entries_are_reported_with_their_line_and_skipped() -> None:
    bad = "\n<item>\n<title>t</title><pubDate>soon</pubDate></item>\n"
    first, second, third = read(rss("<item><title>a</title></item>", bad, "<item/>"))
    assert isinstance(first, ItemRow)
    assert second == MalformedRow(2, "timestamp 'soon' is not like 2026-03-02T14:30:00Z")
    assert isinstance(third, ItemRow)
    assert third.item.title == "", "the service rejects the empty title"


MANY = f"<item>{'&a;' * 5000}</item>"
LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))


@pytest.mark.parametrize(
    "bomb",
    [
        f"<!DOCTYPE rss [<!ENTITY l0 'ha'>{LAUGHS}]>{rss('<item><title>&l9;</title></item>')}",
        f"<!DOCTYPE rss [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>{rss('<item>&x;</item>')}",
        "<!DOCTYPE rss SYSTEM 'http://127.0.0.1:9/x.dtd'><rss/>",
        f"<!DOCTYPE rss [<!ENTITY a '{'a' * 50_000}'>]>{rss(MANY)}",
        "<!DOCTYPE rss [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]><rss/>",
        "<!DOCTYPE rss [<!ATTLIST item x CDATA 'aaaa'>]><rss/>",
    ],
    ids=["laughs", "file", "outside", "quadratic", "parameter", "attributes"],
)
def test_a_document_with_a_dtd_is_rejected_at_once(bomb: str) -> None:
    began = time.process_time()
    seen, why = unreadable(bomb)
    assert seen == []
    assert why == "line 1: it declares a DTD, which feeds do not need"
    assert time.process_time() - began < 1


def test_entries_before_an_xml_error_are_read() -> None:
    seen, why = unreadable(rss("<item><title>a</title></item>\n\n<item><title>b</item>"))
    assert [one.title for one in seen] == ["a"]
    assert why.startswith("line 3: not well-formed: mismatched tag")
    seen, why = unreadable(RSS[:-20])
    assert len(seen) == 2
    assert "no element found" in why


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("<html><body/></html>", "line 1: neither RSS 2.0 nor Atom: its root is 'html'"),
        ("<feed/>", "neither RSS 2.0 nor Atom"),
        ("<rss", "not well-formed"),
        ("<?xml version='1.0' encoding='none-such'?><rss/>", "unknown encoding"),
        ("<?xml version='1.0' encoding='utf-7'?><rss/>", "line 1: "),
        ("<rss>&nbsp;</rss>", "undefined entity"),
        ("<rss><m:x/></rss>", "unbound prefix"),
        (b"<rss>\xff</rss>", "not well-formed"),
        ("<rss>" + "<a>" * 200, "elements lie 100 deep within each other"),
    ],
)
def test_a_document_that_is_not_a_feed_is_an_error(data: str | bytes, expected: str) -> None:
    seen, why = unreadable(data)
    assert seen == []
    assert expected in why


def test_long_texts_are_cut_while_parsing() -> None:
    words = "word " * 400_000
    entry = f"<item><title>{words}</title><description>{words}</description></item>"
    data = rss(entry, f"<item><title>{'<b>' * 20}x</title></item>".replace("<b>", "&lt;"))
    tracemalloc.start()
    try:
        first, _ = items(data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(first.title) <= MAX_BUFFERED_CHARACTERS
    assert len(first.text) <= MAX_BUFFERED_CHARACTERS
    assert most < 4 * len(data)


def test_a_feed_has_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_reader, "MAX_BYTES", 3 * CHUNK_BYTES)
    _, why = unreadable(rss("<!-- " + "x" * 4 * CHUNK_BYTES + " -->"))
    assert "a feed has at most" in why


def test_unclosed_tags_are_parsed_in_linear_time() -> None:
    """Parsing a summary of opening brackets once took quadratic time: more than a hundred times
    the time for the same number of other references."""

    def cost(text: str) -> float:
        summary = text * MAX_BUFFERED_CHARACTERS
        entry = f"<item><title>t</title><description>{summary}</description></item>"
        began = time.process_time()
        assert len(items(rss(entry * 50))) == 50
        return time.process_time() - began

    assert cost("&lt;") < 20 * cost("&amp;")


def test_the_number_of_categories_is_limited() -> None:
    many = "".join(f"<category>c{number}</category>" for number in range(10_000))
    (item,) = items(rss(f"<item><title>t</title>{many}</item>"))
    assert len(item.tags) == 10


pieces = st.sampled_from(
    ["<item>", "</item>", "<title>", "</title>", "a", "&lt;", "<link>", "</link>", "<x/>", "\n",
     "<pubDate>", "</pubDate>", "<category>", "</category>", "<!-- -->", "<![CDATA[", "]]>", "&"]
)  # fmt: skip


@PATIENT
@given(st.lists(pieces, max_size=25), st.integers(0, 30))
def test_any_content_is_read_as_entries_or_reported(parts: list[str], cut: int) -> None:
    data = rss(*parts)
    with contextlib.suppress(UnreadableFile):
        for row in read(data[: len(data) - cut]):
            assert isinstance(row, ItemRow | MalformedRow)
            assert 1 <= row.line <= data.count("\n") + 1
