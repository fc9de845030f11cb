"""Reading RSS and Atom feeds: the fields of entries, and protection against hostile files."""

import contextlib
import io
import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapewire.cli.items import feed_reader
from tapewire.cli.items.feed_reader import MAX_ENTRY_CHARACTERS
from tapewire.cli.items.feed_sections import split_feed
from tapewire.cli.items.feed_text import decode_feed
from tapewire.cli.items.rows import ItemDefaults, ItemRow, MalformedRow, Row, UnreadableFile
from tapewire.runtime.contracts.insights import MAX_TITLE_CHARACTERS, NewItem, item_id

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


def read_all(data: str | bytes, extra: ItemDefaults = NO_DEFAULTS) -> list[Row]:
    return list(feed_reader.read_rows(io.BytesIO(_bytes(data)), extra))


def read(data: str | bytes, extra: ItemDefaults = NO_DEFAULTS) -> list[ItemRow | MalformedRow]:
    """The rows without notices."""
    return [row for row in read_all(data, extra) if isinstance(row, ItemRow | MalformedRow)]


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
    reason = "entry 2 't': timestamp 'soon' is not like 2026-03-02T14:30:00Z"
    assert second == MalformedRow(2, reason, "timestamp")
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


def test_entries_before_the_end_of_a_truncated_file_are_read() -> None:
    """The last entry is not: a title that was cut would stay for ever."""
    seen, why = unreadable(rss("<item><title>a</title></item>\n\n<item><title>b")[:-16])
    assert [one.title for one in seen] == ["a"]
    assert why == "line 3: not well-formed: the feed's end tag is missing"
    seen, why = unreadable(RSS[:-20])
    assert len(seen) == 2
    assert "the feed's end tag is missing" in why


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("<html><body/></html>", "line 1: neither RSS nor Atom: its root is 'html'"),
        ("<opml/>", "neither RSS nor Atom"),
        ("<rss", "neither RSS nor Atom"),
        ("  ", "it has no element"),
        ("\n<?xml version='1.0'?>\n<!-- x -->", "line 3: neither RSS nor Atom"),
        ("<rss>" + "<a>" * 200, "the feed's end tag is missing"),
    ],
)
def test_a_document_that_is_not_a_feed_is_an_error(data: str | bytes, expected: str) -> None:
    seen, why = unreadable(data)
    assert seen == []
    assert expected in why


def test_a_title_that_is_too_long_is_cut_and_keeps_its_identity() -> None:
    """Two long titles that begin alike stay two items, each with the same id next time."""
    one, two = (f"{'Long ' * 60}{end}" for end in ("one", "two"))
    first, second, linked = items(
        rss(
            f"<item><title>{one}</title></item>",
            f"<item><title>{two}</title></item>",
            f"<item><title>{two}</title><link>https://x.example/1</link></item>",
        )
    )
    assert len(first.title) == MAX_TITLE_CHARACTERS
    assert first.title == second.title
    assert first.title.endswith("Long…")
    assert (first.id, second.id) == (item_id("W", one), item_id("W", two))
    assert linked.id is None, "its link makes it unique"


def test_a_feed_has_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_reader, "MAX_BYTES", 1000)
    _, why = unreadable(rss("<!-- " + "x" * 1000 + " -->"))
    assert "a feed has at most" in why


def test_the_number_of_entries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_reader, "MAX_ENTRIES", 2)
    seen, why = unreadable(rss("<item><title>a</title></item>\n" * 3))
    assert len(seen) == 2
    assert why == "line 3: a feed has at most 2 entries"


def test_an_entry_that_is_too_large_costs_only_itself() -> None:
    huge = f"<item><title>h</title><description>{'x' * MAX_ENTRY_CHARACTERS}</description></item>"
    first, second, third = read(
        rss("<item><title>a</title></item>", huge, "<item><title>b</title></item>")
    )
    assert isinstance(first, ItemRow)
    assert isinstance(second, MalformedRow)
    assert second.reason.startswith("entry 2: 1048632 characters")
    assert isinstance(third, ItemRow)


@pytest.mark.parametrize("opener", ["<![CDATA[", "<!--", "<", "&", "<rss ", "</item"])
def test_unclosed_markup_is_split_in_linear_time(opener: str) -> None:
    def cost(count: int) -> float:
        began = time.process_time()
        with contextlib.suppress(UnreadableFile):
            split_feed(decode_feed(f"<rss>{opener * count}</rss>".encode()).text, 1)
        return time.process_time() - began

    cost(1000)
    assert cost(160_000) < 0.05 + 60 * cost(10_000)


def test_the_number_of_categories_is_limited() -> None:
    many = "".join(f"<category>c{number}</category>" for number in range(1_000))
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
        for row in read_all(data[: len(data) - cut]):
            assert 1 <= row.line <= data.count("\n") + 1
