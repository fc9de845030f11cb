"""Turns the bytes of a feed into text that an XML parser accepts.

The encoding is that of a byte order mark, or the declared one, or UTF-8. Bytes that do not belong
to it are replaced where they stand, and control characters are removed; each such line is a
`Notice`. HTML's named entities become characters. A document with a DTD is rejected, and with it
any that declares an entity, internal or external. Start at `decode_feed`.
"""

import codecs
import html
import re
from html.entities import html5

import msgspec

from tapewire.cli.items.rows import Notice, UnreadableFile, shorten

DEFAULT_ENCODING = "utf-8"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FIRST_CHARACTERS = (
    (b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"), (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)  # fmt: skip
"""How a document without a byte order mark begins in an encoding of wide characters."""
_DECLARED_ENCODING = re.compile(
    rb"<\?xml\b[^<>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']"
)
_DECODERS = {
    "ascii": "utf-8", "utf-8": "utf-8", "iso8859-1": "cp1252", "iso8859-9": "cp1254",
    "shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949",
    "big5": "big5hkscs",
}  # fmt: skip
"""By name of Python's codec: the decoder of the larger set that documents with that label use, as
in the WHATWG's Encoding standard."""
_OTHER_DECODERS = frozenset(
    ("big5hkscs", "cp437", "cp850", "cp866", "cp874", "cp932", "cp949", "euc_jp", "gb18030",
     "iso2022_jp", "johab", "koi8-r", "koi8-u", "mac-cyrillic", "mac-roman", "tis-620",
     *(f"cp{number}" for number in range(1250, 1259)),
     *(f"iso8859-{number}" for number in range(2, 17)))
)  # fmt: skip
_CODEC_LABELS = {"x-sjis": "shift_jis", "windows-31j": "cp932", "x-euc-jp": "euc_jp"}
"""Labels that Python does not know."""

_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&(?:#(?:[0-9]{1,9}|[xX][0-9A-Fa-f]{1,8});|([A-Za-z][A-Za-z0-9]{1,31});)?")
_MARKUP_CHARACTERS = frozenset("&<>\"'")
_PROLOG_PART = re.compile(r"\s+|\ufeff|<\?.*?\?>|<!--.*?-->", re.DOTALL)
_DTD = re.compile(r"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)\b", re.IGNORECASE)
_RSS_091_DTD = re.compile(
    r"<!DOCTYPE\s+rss\s+PUBLIC\s+\"-//Netscape Communications//DTD RSS 0\.91//EN\""
    r"\s+\"[^\"<>\[\]]{0,200}\"\s*>"
)
"""The declaration that RSS 0.91 prescribes. It is dropped; its DTD is not fetched."""


class FeedText(msgspec.Struct, frozen=True):
    """The text of a feed from its root element on. `first_line` is the line of the root."""

    text: str
    first_line: int
    notices: list[Notice]


def decode_feed(data: bytes) -> FeedText:
    """Return the text of a feed.

    Raises:
        UnreadableFile: It is empty, or declares a DTD.
    """
    encoding, notices = _find_encoding(data)
    decoded = _decode(data, encoding)
    lines = decoded.replace("\r\n", "\n").replace("\r", "\n")
    position = _skip_prolog(lines)
    first_line = lines.count("\n", 0, position) + 1
    if position == len(lines):
        raise UnreadableFile(first_line, "neither RSS nor Atom: it has no element")
    body, repairs = _replace_stray(lines[position:], encoding, first_line)
    return FeedText(_replace_references(body), first_line, notices + repairs)


def _find_encoding(data: bytes) -> tuple[str, list[Notice]]:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding, []
    start = data[:256].lstrip(b" \t\r\n")
    for beginning, encoding in _FIRST_CHARACTERS:
        if start.startswith(beginning):
            return encoding, []
    declared = _DECLARED_ENCODING.search(data[:1024])
    if declared is None:
        return DEFAULT_ENCODING, []
    label = declared[1].decode("ascii").lower()
    if label.startswith(("utf-16", "utf-32", "utf16", "utf32", "ucs-2", "iso-10646")):
        return DEFAULT_ENCODING, []  # the declaration could not be read if it were so
    try:
        codec = codecs.lookup(_CODEC_LABELS.get(label, label)).name
    except LookupError:
        codec = ""
    if codec in _DECODERS:
        return _DECODERS[codec], []
    if codec in _OTHER_DECODERS:
        return codec, []
    reason = f"the encoding {shorten(label)} is unknown; read as {DEFAULT_ENCODING.upper()}"
    return DEFAULT_ENCODING, [Notice(1, reason)]


def _decode(data: bytes, encoding: str) -> str:
    """Decode. Bytes of a wrong kind become lone surrogates, or U+FFFD if characters are wide."""
    errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    return data.decode(encoding, errors)


def _skip_prolog(text: str) -> int:
    """The position of the root element. Raises UnreadableFile if there is a DTD before it."""
    position = 0
    while True:
        part = _PROLOG_PART.match(text, position) or _RSS_091_DTD.match(text, position)
        if part is None:
            break
        position = part.end()
    if _DTD.match(text, position):
        line = text.count("\n", 0, position) + 1
        raise UnreadableFile(line, "it declares a DTD, which feeds do not need")
    return position


def _replace_stray(text: str, encoding: str, first_line: int) -> tuple[str, list[Notice]]:
    """Replace bytes that were not decoded, and remove control characters."""
    lines: dict[int, str] = {}
    line, counted = first_line, 0

    def replace(match: re.Match[str]) -> str:
        nonlocal line, counted
        line += text.count("\n", counted, match.start())
        counted = match.start()
        code = ord(match[0])
        if 0xDC80 <= code <= 0xDCFF:
            byte = code - 0xDC00
            lines.setdefault(line, f"the byte 0x{byte:02x} is not {encoding.upper()}; replaced")
            return _decode_single_byte(byte) if encoding == DEFAULT_ENCODING else "\ufffd"
        lines.setdefault(line, f"a control character, U+{code:04X}; removed")
        return ""

    cleaned = _CONTROL_CHARACTER.sub(replace, text)
    return cleaned, [Notice(number, reason) for number, reason in lines.items()]


def _decode_single_byte(byte: int) -> str:
    """What a byte that is no UTF-8 most often is: a character of Windows-1252."""
    return bytes((byte,)).decode("cp1252", "replace")


def _replace_references(text: str) -> str:
    """Replace the references outside of CDATA sections, which have none."""
    parts: list[str] = []
    position = 0
    while (start := text.find("<![CDATA[", position)) >= 0:
        end = text.find("]]>", start)
        if end < 0:
            break
        parts += (_REFERENCE.sub(_replace_reference, text[position:start]), text[start:end])
        position = end
    return "".join((*parts, _REFERENCE.sub(_replace_reference, text[position:])))


def _replace_reference(match: re.Match[str]) -> str:
    """Replace references that XML does not define by characters, and escape other ampersands."""
    whole, name = match[0], match[1]
    if whole == "&" or (name is not None and f"{name};" not in html5):
        return f"&amp;{whole[1:]}"
    character = html.unescape(whole)
    return whole if character in _MARKUP_CHARACTERS else _CONTROL_CHARACTER.sub("", character)
