"""Splits the text of a feed into its head, its entries and its tail, without an XML parser.

Each entry is parsed apart from the others, so a damaged one costs no other. An entry extends from
its start tag to its end tag, or to the next start tag if its end tag is damaged. Comments and CDATA
sections hide tags, except a CDATA section that is never closed and would hide whole entries. Start
at `split_feed`.
"""

import re
from collections.abc import Iterator

import msgspec

from tapewire.cli.items.rows import UnreadableFile, shorten

MAX_HEAD_CHARACTERS = 256 << 10
"""Characters before the first entry, and after the last, that are read."""

_NAME = r"(?:[A-Za-z_][\w.-]*:)?"
_ROOT = re.compile(rf"<({_NAME}(?P<local>[A-Za-z_][\w.-]*))(?=[\s/>])")
_ENTRY_NAMES = {"rss": "item", "rdf": "item", "feed": "entry"}
"""By local name of the root element."""
_CONTAINER_NAMES = "rss|rdf|feed|channel"
"""Elements that entries lie in. Others that are open before an entry were not closed by mistake."""
_TERMINATORS = {"<!--": "-->", "<![CDATA[": "]]>"}


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as text.

    `is_closed`: it has its end tag. `has_start`: it has its start tag; otherwise it only has an end
    tag, and nothing of it can be read.
    """

    line: int
    text: str
    is_closed: bool = True
    has_start: bool = True


class FeedSections(msgspec.Struct, frozen=True, kw_only=True):
    """A feed: what describes it, the start tags that its entries lie in, the end tags of those, and
    its entries. `is_complete`: the root element has its end tag."""

    description: str
    start_tags: str
    end_tags: str
    sections: list[Section]
    last_line: int
    is_complete: bool


class _Tag(msgspec.Struct, frozen=True):
    """A start or end tag of an element `name`, from `start` to `end`."""

    name: str
    start: int
    end: int
    is_start: bool
    is_empty: bool


def split_feed(text: str, first_line: int) -> FeedSections:
    """Split a feed.

    Args:
        text: The feed from its root element on.
        first_line: The line of the root element.

    Raises:
        UnreadableFile: The root is not that of a feed.
    """
    root = _ROOT.match(text)
    local_name = root["local"].lower() if root else ""
    if root is None or local_name not in _ENTRY_NAMES:
        name = root[1] if root else text[:40]
        raise UnreadableFile(first_line, f"neither RSS nor Atom: its root is {shorten(name)}")
    tags = list(_find_tags(text, _ENTRY_NAMES[local_name]))
    head_end = tags[0].start if tags else len(text)
    head = text[: min(head_end, MAX_HEAD_CHARACTERS)]
    start_tags, names = _find_open_elements(head)
    end_tags = "".join(f"</{name}>" for name in reversed(names))
    tail = text[tags[-1].end :][-MAX_HEAD_CHARACTERS:] if tags else end_tags
    return FeedSections(
        description=head + tail,
        start_tags=start_tags,
        end_tags=end_tags,
        sections=_build_sections(text, tags, first_line),
        last_line=first_line + text.count("\n"),
        is_complete=re.search(rf"</{re.escape(root[1])}\s*>|^<[^<>]*/>\s*$", text) is not None,
    )


def _find_tags(text: str, names: str) -> Iterator[_Tag]:
    """Find the tags of the elements `names`, alternatives of a pattern, outside of comments and
    CDATA sections. It takes time proportional to the text, whatever it has."""
    tag_start = re.compile(
        rf"<!--|<!\[CDATA\[|<(?P<end>/?)(?P<name>{_NAME}(?:{names}))(?=[\s/>])", re.IGNORECASE
    )
    hidden_end = _HiddenSectionEnd(text, names)
    position = 0
    while match := tag_start.search(text, position):
        position = match.end()
        if match["name"] is None:
            position = hidden_end.find(match[0].upper(), position)
            continue
        end = text.find(">", position)
        if end < 0:
            return
        position = end + 1
        is_start = not match["end"]
        is_empty = is_start and text[end - 1] == "/"
        yield _Tag(match["name"], match.start(), position, is_start, is_empty)


class _HiddenSectionEnd:
    """Finds where comments and CDATA sections end. Each part of the text is searched once."""

    def __init__(self, text: str, names: str) -> None:
        self._text = text
        self._swallowed = re.compile(
            rf"</{_NAME}(?:{names})\s*>\s*<{_NAME}(?:{names})[\s>]", re.IGNORECASE
        )
        self._terminator_positions = dict.fromkeys(_TERMINATORS, 0)
        self._swallowed_position = 0

    def find(self, opener: str, position: int) -> int:
        """Where to continue after `opener`, which ends at `position`: behind the section, or at
        `position` if the section is not closed or hides the border between two entries."""
        terminator = _TERMINATORS[opener]
        end = self._terminator_positions[opener]
        if 0 <= end < position:
            end = self._text.find(terminator, position)
            self._terminator_positions[opener] = end
        if end < 0 or (opener != "<!--" and self._hides_border(position, end)):
            return position
        return end + len(terminator)

    def _hides_border(self, start: int, end: int) -> bool:
        if 0 <= self._swallowed_position < start:
            match = self._swallowed.search(self._text, start)
            self._swallowed_position = match.start() if match else -1
        return 0 <= self._swallowed_position < end


def _find_open_elements(head: str) -> tuple[str, list[str]]:
    """The start tags of the elements that are open at the end of `head`, and their names."""
    stack: list[_Tag] = []
    for tag in _find_tags(head, _CONTAINER_NAMES):
        if tag.is_start and not tag.is_empty:
            stack.append(tag)
        elif not tag.is_start and stack and stack[-1].name == tag.name:
            stack.pop()
    return "".join(head[tag.start : tag.end] for tag in stack), [tag.name for tag in stack]


def _build_sections(text: str, tags: list[_Tag], first_line: int) -> list[Section]:
    sections: list[Section] = []
    line, counted = first_line, 0
    started: _Tag | None = None

    def add(start: int, end: int, *, is_closed: bool, has_start: bool = True) -> None:
        nonlocal line, counted
        line += text.count("\n", counted, start)
        counted = start
        sections.append(
            Section(line=line, text=text[start:end], is_closed=is_closed, has_start=has_start)
        )

    for tag in tags:
        if tag.is_start and started is not None:
            add(started.start, tag.start, is_closed=False)
            started = None
        if tag.is_empty:
            add(tag.start, tag.end, is_closed=True)
        elif tag.is_start:
            started = tag
        elif started is not None:
            add(started.start, tag.end, is_closed=True)
            started = None
        else:
            add(tag.start, tag.end, is_closed=True, has_start=False)
    if started is not None:
        add(started.start, len(text), is_closed=False)
    return sections
