"""The page of `tapewire protocol`: headers, events, values, requests and their structs.

Start at `render_document`, which is pure.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tapewire.cli.protocol import describe
from tapewire.cli.protocol.headers import EVENT_HEADERS, REQUEST_HEADERS
from tapewire.events import CATALOGUE, Catalogue, Delivery, EventType
from tapewire.runtime.contracts import CALLS, ServiceCall

_INTRODUCTION = """\
# Events, values and requests

Made from the code by `make protocol`; a test fails when the two differ. The same for programs is in
[asyncapi.json](asyncapi.json), an AsyncAPI 3 document. How to read streams is in
[protocol.md](protocol.md), how to write events in [producing.md](producing.md), how to change them
in [events-changing.md](events-changing.md).

Payloads are JSON in UTF-8. Numbers are exact decimals, times UTC in ISO 8601 with up to six places
of a second, ids texts. In subjects `{…}` stands for what differs, percent-encoded where it is not
`[A-Za-z0-9_-]`. Fields that a reader does not know are to be passed over."""

MarkdownBlocks = Iterator[str]


def render_document(
    package: str | None = None,
    catalogue: Catalogue = CATALOGUE,
    calls: Sequence[ServiceCall[Any, Any]] = CALLS,
) -> str:
    """Return the page of all types, or of those of one top-level package.

    Requests are Tapewire's own and belong to the package `tapewire`.
    """
    kinds = [kind for kind in catalogue.event_types() if package in (None, kind.package)]
    own_calls = list(calls) if package in (None, "tapewire") else []
    sections = [
        _INTRODUCTION,
        *_render_headers(),
        *_render_index(kinds),
        *_render_types(kinds, catalogue),
        *_render_requests(own_calls),
        *_render_structs(kinds, own_calls),
    ]
    return "\n\n".join(sections) + "\n"


def _render_headers() -> MarkdownBlocks:
    yield "## Headers"
    yield "Of an event:"
    yield _render_table(
        ("header", "says"), [(f"`{name}`", says) for name, says in EVENT_HEADERS.items()]
    )
    yield "Of a request:"
    rows = [(f"`{name}`", says) for name, says in REQUEST_HEADERS.items()]
    yield _render_table(("header", "says"), rows)
    yield "Values have none: prices and valuations are newest-wins, and belong to nothing."


def _render_index(kinds: Iterable[EventType]) -> MarkdownBlocks:
    yield "## All types"
    rows = [
        (
            _render_link(kind.tag, f"`{kind.tag}`"),
            f"`{kind.subject_template}`",
            _describe_delivery(kind),
            _first_sentence(kind),
        )
        for kind in kinds
    ]
    yield _render_table(("tag", "subject", "is", ""), rows)


def _describe_delivery(kind: EventType) -> str:
    what = "value" if kind.delivery is Delivery.NEWEST_WINS else "event"
    return what if kind.sse_binding is None else f"{what}, shown as `{kind.sse_binding.event_name}`"


def _first_sentence(kind: EventType) -> str:
    return re.split(r"(?<=[.;:])\s", describe.describe_struct(kind.struct))[0].rstrip(".;:")


def _render_types(kinds: Iterable[EventType], catalogue: Catalogue) -> MarkdownBlocks:
    yield "## Fields"
    for kind in kinds:
        yield f"### `{kind.tag}`"
        yield describe.describe_struct(kind.struct)
        old = [
            tag
            for tag in catalogue.tags()
            if tag != kind.tag and tag.rpartition(".v")[0] == kind.name
        ]
        if old:
            yield f"Read as this one: {', '.join(f'`{tag}`' for tag in old)}."
        yield _render_fields(kind.struct)


def _render_requests(calls: Sequence[ServiceCall[Any, Any]]) -> MarkdownBlocks:
    if not calls:
        return
    yield "## Requests"
    yield (
        "NATS micro services. A refusal has the headers `Nats-Service-Error-Code` and"
        " `Nats-Service-Error`, and the payload `code` (`invalid`, `not_found`, `conflict`,"
        " `unavailable`, `internal`), `message` and, where a field is at fault, `path`."
    )
    rows = [
        (f"`{one.subject}`", _link_struct(one.request), _link_struct(one.reply)) for one in calls
    ]
    yield _render_table(("subject", "takes", "answers"), rows)


def _render_structs(
    kinds: Iterable[EventType], calls: Iterable[ServiceCall[Any, Any]]
) -> MarkdownBlocks:
    """Render the structs that types and requests consist of, by name."""
    found: set[type] = set()
    for kind in kinds:
        found.update(describe.iter_nested_structs(kind.struct))
    for call in calls:
        for struct in (call.request, call.reply):
            found.update((struct, *describe.iter_nested_structs(struct)))
    if found:
        yield "## Structs"
    for struct in sorted(found, key=lambda one: one.__name__):
        yield f"### {struct.__name__}"
        yield describe.describe_struct(struct)
        yield _render_fields(struct)


def _render_fields(struct: type) -> str:
    rows = [
        (
            f"`{field.name}`" + ("" if field.is_required else " (optional)"),
            field.type,
            field.unit or "",
            field.meaning or "",
        )
        for field in describe.describe_fields(struct, _link_struct)
    ]
    if not any(unit or meaning for _, _, unit, meaning in rows):
        return _render_table(("field", "type"), [row[:2] for row in rows])
    return _render_table(("field", "type", "unit", "meaning"), rows)


def _link_struct(struct: type) -> str:
    return _render_link(struct.__name__, struct.__name__)


def _render_link(heading: str, text: str) -> str:
    """Return `text` as a link to the section `heading`, by the anchor that GitHub gives it."""
    return f"[{text}](#{re.sub(r'[^a-z0-9_-]', '', heading.lower())})"


def _render_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )
