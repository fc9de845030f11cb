"""Feeds as they are: damaged entries, encodings, links and zones. One blemish costs at most its
entry, and a row or a notice says which."""

import contextlib
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapewire.cli.items import feed_reader
from tapewire.cli.items.feed_dates import ZONE_OFFSETS, parse_feed_date
from tapewire.cli.items.feed_links import UnusableLink, resolve_link
from tapewire.cli.items.rows import (
    InvalidCell,
    ItemDefaults,
    ItemRow,
    MalformedRow,
    Notice,
    Row,
    UnreadableFile,
)
from tapewire.runtime.contracts.insights import item_id

RDF = """<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="{namespace}"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="https://r.example/">
<title>W</title><link>https://r.example/</link>
<items><rdf:Seq><rdf:li resource="https://r.example/1"/></rdf:Seq></items></channel>
<item rdf:about="https://r.example/1"><title>One</title><link>https://r.example/1</link>
<dc:date>2026-03-02T09:30:00+09:00</dc:date><dc:subject>FX</dc:subject></item></rdf:RDF>"""


def read(data: str | bytes) -> list[Row]:
    raw = data.encode() if isinstance(data, str) else data
    return list(feed_reader.read_rows(io.BytesIO(raw), ItemDefaults()))


def rss(*entries: str, head: str = "<title>W</title>") -> str:
    return f"<rss version='2.0'><channel>{head}{''.join(entries)}</channel></rss>"


def entry(title: str, *, rest: str = "") -> str:
    return f"<item><title>{title}</title>{rest}</item>\n"


def titles(rows: list[Row]) -> list[str]:
    return [row.item.title for row in rows if isinstance(row, ItemRow)]


def describe_others(rows: list[Row]) -> list[str]:
    return [f"{row.line}: {row.reason}" for row in rows if not isinstance(row, ItemRow)]


# --- formats


@pytest.mark.parametrize("version", ["0.91", "0.92", "0.93", "0.94", "2.0", "2.0.1"])
def test_every_version_of_rss_is_read(version: str) -> None:
    """RSS 0.91 prescribes a DTD, which is neither read nor a reason to reject the feed."""
    netscape = "-//Netscape Communications//DTD RSS 0.91//EN"
    dtd = f'<!DOCTYPE rss PUBLIC "{netscape}" "http://127.0.0.1:9/rss.dtd">'
    document = f"<rss version='{version}'><channel><title>W</title>{entry('One')}</channel></rss>"
    (row,) = read(dtd + document if version == "0.91" else document)
    assert isinstance(row, ItemRow)
    assert (row.item.title, row.item.source) == ("One", "W")


@pytest.mark.parametrize(
    "namespace", ["http://purl.org/rss/1.0/", "http://my.netscape.com/rdf/simple/0.9/"]
)
def test_rdf_feeds_are_read_with_their_dublin_core_dates(namespace: str) -> None:
    (row,) = read(RDF.format(namespace=namespace))
    assert isinstance(row, ItemRow)
    assert (row.item.title, row.item.source, row.item.tags) == ("One", "W", ("FX",))
    assert row.item.url == "https://r.example/1"
    assert row.item.timestamp == datetime(2026, 3, 2, 0, 30, tzinfo=UTC)


def test_old_atom_and_unknown_prefixes_are_read() -> None:
    (row,) = read(
        "<feed version='0.3' xmlns='http://purl.org/atom/ns#'><title>W</title>"
        "<link rel='alternate' href='https://a.example/x/'/><entry><title>One</title>"
        "<link rel='alternate' href='y'/><issued>2026-03-02T09:30:00+09:00</issued></entry></feed>"
    )
    assert isinstance(row, ItemRow)
    assert (row.item.title, row.item.url) == ("One", "https://a.example/x/y")
    rows = read(rss(entry("a", rest="<m:x/>"), entry("b", rest="<m:x/>")))
    assert titles(rows) == ["a", "b"]
    assert describe_others(rows) == [
        "1: entry 1 'a': not well-formed: unbound prefix; read as it is"
    ]


# --- blemishes


@pytest.mark.parametrize(
    ("damaged", "title"),
    [
        (
            "<item><title>R&nbsp;&rsquo;d&bogus; AT&T &#146;&#0;</title></item>",
            "R \u2019d&bogus; AT&T \u2019\ufffd",
        ),
        ("<item><title>b\x0b\x1f</title></item>", "b"),
        ("<item><title>b</titel></item>", ""),
        ("<item><title>b</title><p></item>", "b"),
        ("<item><title>b</title></itXm>", "b"),
        ("<item><title>b</title><description><![CDATA[x</description></item>", "b"),
        ("<item><title>b</title><!-- x</item>", "b"),
        ("<item><title>b</title><link a='b></item>", "b"),
        ("<item a=b><title>b</title></item>", "b"),
    ],
)
def test_a_damaged_entry_costs_no_other(damaged: str, title: str) -> None:
    rows = read(rss(entry("a"), damaged + "\n", entry("c", rest="<guid>3</guid>")))
    assert titles(rows) == ["a", title, "c"]


@pytest.mark.parametrize(
    "damaged",
    ["<itXm><title>b</title></item>", "<<item><title>b</title><pubDate>x</pubDate></item>"],
)
def test_a_lost_entry_is_named(damaged: str) -> None:
    rows = read(rss(entry("a"), damaged + "\n", entry("c")))
    assert titles(rows) == ["a", "c"]
    (reason,) = describe_others(rows)
    assert reason.startswith("2: entry 2")


def test_the_refused_entry_is_named_by_number_and_title() -> None:
    rows = read(rss(entry("a"), entry("b", rest="<pubDate>Mon, 40 Mar</pubDate>"), entry("c")))
    assert titles(rows) == ["a", "c"]
    (bad,) = [row for row in rows if isinstance(row, MalformedRow)]
    assert (bad.line, bad.fault) == (2, "timestamp")
    assert bad.reason.startswith("entry 2 'b': timestamp 'Mon, 40 Mar'")


def test_entries_in_comments_are_no_entries() -> None:
    assert titles(read(rss(f"<!-- {entry('no')}{entry('no')} -->", entry("a")))) == ["a"]


# --- encodings


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("Shift_JIS", "shift_jis"), ("x-sjis", "shift_jis"), ("Windows-31J", "cp932"),
        ("EUC-JP", "euc_jp"), ("GB2312", "gbk"), ("Big5", "big5"), ("EUC-KR", "euc_kr"),
        ("UTF-16", "utf-16"), ("UTF-16LE", "utf-16-le"), ("UTF-8", "utf-8-sig"),
    ],
)  # fmt: skip
def test_declared_encodings_and_byte_order_marks_are_decoded(label: str, codec: str) -> None:
    text = "金融" if codec != "euc_kr" else "금융"
    document = f"<?xml version='1.0' encoding='{label}'?>" + rss(entry(text))
    assert titles(read(document.encode(codec))) == [text]


@pytest.mark.parametrize("label", ["windows-1252", "ISO-8859-1", "koi8-r", "windows-1251"])
def test_single_byte_encodings_are_decoded(label: str) -> None:
    text = "Zürich" if label in ("windows-1252", "ISO-8859-1") else "Москва"
    document = f"\n<?xml version='1.0' encoding='{label}'?>" + rss(entry(text))
    assert titles(read(document.encode(label))) == [text]


def test_a_stray_byte_changes_only_its_character() -> None:
    """feedparser alone would read the whole feed in another encoding."""
    raw = rss(entry("caf@"), entry("Zürich")).encode().replace(b"@", b"\xe9")
    rows = read(raw)
    assert titles(rows) == ["café", "Zürich"]
    assert describe_others(rows) == ["1: the byte 0xe9 is not UTF-8; replaced"]
    broken = rss(entry("金@融"), entry("金")).replace(
        "<rss", "<?xml version='1.0' encoding='Shift_JIS'?><rss"
    )
    assert titles(read(broken.encode("shift_jis").replace(b"@", b"\xff")))[1] == "金"


@pytest.mark.parametrize("label", ["none-such", "utf-7", "hex", "unicode_escape"])
def test_an_unknown_encoding_is_read_as_utf8_and_said(label: str) -> None:
    rows = read(f"<?xml version='1.0' encoding='{label}'?>" + rss(entry("ü")))
    assert titles(rows) == ["ü"]
    assert describe_others(rows) == [f"1: the encoding '{label}' is unknown; read as UTF-8"]


# --- links


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("/x", "https://w.example/x"),
        ("y?a=1&b=2", "https://w.example/news/y?a=1&b=2"),
        ("//other.example/z", "https://other.example/z"),
        (
            "https://x.example/über-börse?q=ä#ö",
            "https://x.example/%C3%BCber-b%C3%B6rse?q=%C3%A4#%C3%B6",
        ),
        ("https://x.example/a b|c%zz%20", "https://x.example/a%20b%7Cc%25zz%20"),
        ("https://münchen.example:8443/", "https://xn--mnchen-3ya.example:8443/"),
        ("https://[::1]/ü", "https://[::1]/%C3%BC"),
        ("https://x.example/[a]?b=[c]", "https://x.example/[a]?b=[c]"),
    ],
)
def test_links_become_absolute_ascii(link: str, expected: str) -> None:
    assert resolve_link(link, "https://w.example/news/") == expected


@pytest.mark.parametrize(
    "link", ["mailto:a@b", "javascript:alert(1)", "http://[bad", "https://", "https://x:port/", "x"]
)
def test_an_unusable_link_is_left_out_and_said(link: str) -> None:
    with pytest.raises(UnusableLink):
        resolve_link(link, "")
    rows = read(rss(entry("a", rest=f"<link>{link}</link>"), entry("b")))
    assert titles(rows) == ["a", "b"]
    (notice,) = [row for row in rows if isinstance(row, Notice)]
    assert notice.reason.startswith("entry 1 'a': its link ")


def test_links_are_relative_to_the_feed_and_ids_are_not() -> None:
    rows = read(
        rss(
            entry("a", rest="<link>1</link><guid>one</guid>"),
            head="<title>W</title><link>https://w.example/news/</link>",
        )
    )
    (row,) = rows
    assert isinstance(row, ItemRow)
    assert row.item.url == "https://w.example/news/1"
    assert row.item.id == item_id("W", "one")


# --- dates


@pytest.mark.parametrize("name", sorted(ZONE_OFFSETS))
def test_a_time_of_now_in_any_zone_is_now(name: str) -> None:
    now = datetime(2026, 3, 2, 14, 30, 5, tzinfo=UTC)
    local = (now + ZONE_OFFSETS[name]).replace(tzinfo=None)
    for text in (
        f"{local:%a, %d %b %Y %H:%M:%S} {name}",
        f"{local:%Y-%m-%d %H:%M:%S} {name.lower()}",
    ):
        assert parse_feed_date(text) == now


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 02 Mar 2026 20:00:00 +0530", "Mon, 02 Mar 2026 20:00:00 GMT+5:30",
        "Mon, 2 Mar 2026 09:30 EST", "Mon, 02 Mar 2026 09:30:00 ET",
        "02 Mar 2026 15:30:00 +01:00 (CET)",
        "2026-03-02 15:30:00 Europe/Berlin", "Mon Mar  2 15:30:00 CET 2026",
        "2026-03-02T15:30:00+01",
        "Mon, 02 Mar 2026 02:30 PM GMT", "Mon, 02 Mar 2026 14:30:00 -0000", "2026-03-02 14:30:00",
        "Mon, 02 Mar 2026 11:30:00 BRT", "Mon, 02 Mar 2026 14:30:00 UT", "20260302T143000Z",
    ],
)  # fmt: skip
def test_dates_are_read_in_the_ways_of_feeds(text: str) -> None:
    assert parse_feed_date(text) == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "language", "hours"),
    [
        ("CST", "zh-cn", 8),
        ("CST", "en-us", -6),
        ("IST", "he", 2),
        ("IST", "", 5.5),
        ("BST", "en", 1),
    ],
)
def test_the_language_of_a_feed_decides_what_an_ambiguous_zone_means(
    name: str, language: str, hours: float
) -> None:
    at = parse_feed_date(f"Mon, 02 Mar 2026 14:30:00 {name}", language=language)
    assert at == datetime(2026, 3, 2, 14, 30, tzinfo=UTC) - timedelta(hours=hours)
    date = f"<pubDate>Mon, 02 Mar 2026 14:30:00 {name}</pubDate>"
    (row,) = read(
        rss(entry("a", rest=date), head=f"<title>W</title><language>{language}</language>")
    )
    assert isinstance(row, ItemRow)
    assert row.item.timestamp == at


@pytest.mark.parametrize(
    "text", ["Mon, 02 Mar 2026 14:30:00 XYZT", "soon", "2026-13-45",
             "Mon, 02 Mar 2026 14:30:00 +99:00", "2026-03-02 14:30:00 ../etc/passwd",
             "9999-12-31T23:59:59-14:00"]
)  # fmt: skip
def test_a_date_that_cannot_be_placed_is_an_error(text: str) -> None:
    with pytest.raises(InvalidCell, match="timestamp"):
        parse_feed_date(text)


def test_another_date_stands_in_for_one_that_cannot_be_read() -> None:
    rest = "<pubDate>soon</pubDate><dc:date>2026-03-02T09:30:00+01:00</dc:date>"
    document = rss(entry("a", rest=rest)).replace(
        "<rss", "<rss xmlns:dc='http://purl.org/dc/elements/1.1/'"
    )
    (row,) = read(document)
    assert isinstance(row, ItemRow)
    assert row.item.timestamp == datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


# --- any damage

ENTRY_COUNT = 8
GOOD_FEED = (
    "<?xml version='1.0' encoding='UTF-8'?>\n<rss version='2.0'><channel><title>Wire</title>\n"
    + "".join(
        f"<item><title>Headline number {n} &amp; café</title><link>https://w.example/{n}</link>"
        f"<guid>g{n}</guid><pubDate>Mon, 02 Mar 2026 14:30:0{n} CET</pubDate>"
        f"<description><![CDATA[Text {n}]]></description></item>\n"
        for n in range(ENTRY_COUNT)
    )
    + "</channel></rss>"
).encode()
FIRST_ENTRY, LAST_ENTRY_END = GOOD_FEED.index(b"<item>"), GOOD_FEED.rindex(b"</channel>")


def find_entry(position: int) -> int:
    return GOOD_FEED.count(b"<item>", 0, position + 1) - 1


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(FIRST_ENTRY, LAST_ENTRY_END - 1), st.integers(0, 255)),
        min_size=1,
        max_size=3,
    )
)
def test_bytes_that_are_changed_cost_no_more_than_the_entries_that_have_them(
    changes: list[tuple[int, int]],
) -> None:
    raw = bytearray(GOOD_FEED)
    damaged = set()
    for position, byte in changes:
        raw[position] = byte
        damaged.add(find_entry(position))
    rows = read(bytes(raw))
    seen = {
        (row.item.title, row.item.url, row.item.timestamp)
        for row in rows
        if isinstance(row, ItemRow)
    }
    good = {
        (row.item.title, row.item.url, row.item.timestamp)
        for row in read(GOOD_FEED)
        if isinstance(row, ItemRow)
    }
    # A changed tag can join its entry to a neighbour; more than that is never lost.
    allowed = len(damaged | {number + 1 for number in damaged})
    assert len(good - seen) <= allowed


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(GOOD_FEED) - 1), st.binary(max_size=6), st.integers(0, len(GOOD_FEED)))
def test_any_damage_is_rows_or_the_typed_error(position: int, inserted: bytes, end: int) -> None:
    raw = (GOOD_FEED[:position] + inserted + GOOD_FEED[position:])[:end]
    with contextlib.suppress(UnreadableFile):
        assert len(titles(read(raw))) <= ENTRY_COUNT + 1
