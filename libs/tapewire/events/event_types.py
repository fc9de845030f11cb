"""The declaration of an event type: its tag, its subject, and how clients receive it.

A `LOSSLESS` type is an event of the journal and is delivered with an id. A `NEWEST_WINS` type is a
value: only the newest of each owner and entity is stored and delivered, without an id. `check`
rejects impossible declarations, the catalogue rejects clashes. Start at `EventType`.
"""

import enum
import re
from collections.abc import Sequence

import msgspec

TAPEWIRE_PACKAGE = "tapewire"
"""The package whose types may have any subject and name."""
_RESERVED_PREFIXES = """
agent ai alert auth checkpoint connection heartbeat metrics notification order ping position price
report rule session stream strategy tape trade
"""
RESERVED_SSE_PREFIXES = frozenset(_RESERVED_PREFIXES.split())
"""First words of SSE event names that are reserved for Tapewire."""
DEFAULT_STREAMS = ("trading",)
"""The streams that show types of other packages, unless they name others."""

_NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_DOMAIN_PATTERN = re.compile(r"[a-z][a-z0-9_-]*")
_SSE_NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*")


class BadDeclaration(ValueError):
    """An event type cannot be declared like this. The message says which type and why."""


class Delivery(enum.Enum):
    """What happens when a reader is slower than the events."""

    LOSSLESS = "lossless"
    NEWEST_WINS = "newest wins"


class SseBinding(msgspec.Struct, frozen=True, kw_only=True):
    """How clients receive a type: the name of the SSE event, and the streams."""

    event_name: str
    streams: tuple[str, ...]


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """A declared type.

    `subject` is the pattern of its subjects, with ``{…}`` for variable parts. `domain` is that part
    of it; None for values, and for types declared without one.
    """

    name: str
    version: int
    struct: type
    subject_template: str | None
    domain: str | None
    delivery: Delivery
    sse_binding: SseBinding | None

    @property
    def tag(self) -> str:
        """The tag that it is stored under."""
        return f"{self.name}.v{self.version}"

    @property
    def package(self) -> str:
        """The top-level package that declared it."""
        return self.struct.__module__.partition(".")[0]


def declare_event_type(
    name: str,
    version: int,
    struct: type,
    *,
    subject: str | None = None,
    domain: str | None = None,
    sse: str | None = None,
    delivery: Delivery = Delivery.LOSSLESS,
    streams: Sequence[str] = DEFAULT_STREAMS,
) -> EventType:
    """Check the declaration. Raises BadDeclaration."""
    if isinstance(streams, str):
        raise BadDeclaration(f"{name}: streams is a tuple of names, not the text {streams!r}")
    if subject is None and domain is not None:
        subject = f"ev.{{owner}}.{domain}.{{entity}}"
    if delivery is Delivery.NEWEST_WINS and subject is None:
        subject = f"val.{{owner}}.{name}.v{version}.{{entity}}"
    made = EventType(
        name=name,
        version=version,
        struct=struct,
        subject_template=subject,
        domain=domain or _domain_of(subject),
        delivery=delivery,
        sse_binding=None if sse is None else SseBinding(event_name=sse, streams=tuple(streams)),
    )
    _validate(made)
    return made


def _domain_of(subject: str | None) -> str | None:
    """The domain in a subject pattern; None if it has none, or a variable one."""
    if subject is None or not subject.startswith("ev."):
        return None
    domain = subject.split(".")[2]
    return None if domain.startswith("{") else domain


def _validate(event_type: EventType) -> None:
    name, domain, shown = event_type.name, event_type.domain, event_type.sse_binding
    if not _NAME_PATTERN.fullmatch(name):
        raise BadDeclaration(f"{name!r} names no event: write it like 'loan.made', in a-z, 0-9, _")
    if event_type.version < 1:
        raise BadDeclaration(f"{name}: versions begin with 1, not {event_type.version}")
    if domain is not None and not _DOMAIN_PATTERN.fullmatch(domain):
        raise BadDeclaration(f"{name}: domain {domain!r} is no word of a-z, 0-9, _ and -")
    if domain is not None and event_type.delivery is Delivery.NEWEST_WINS:
        raise BadDeclaration(f"{name}: a newest-wins value has no domain ({domain!r})")
    if shown is None or event_type.package == TAPEWIRE_PACKAGE:
        return
    if not _SSE_NAME_PATTERN.fullmatch(shown.event_name):
        raise BadDeclaration(f"{name}: sse {shown.event_name!r} must be like 'loan:made'")
    if shown.event_name.partition(":")[0] in RESERVED_SSE_PREFIXES:
        raise BadDeclaration(
            f"{name}: sse {shown.event_name!r} would look like one of Tapewire's own"
        )
    if not shown.streams:
        raise BadDeclaration(f"{name}: sse {shown.event_name!r} is shown on no stream; name one")
    if domain is None and event_type.delivery is Delivery.LOSSLESS:
        raise BadDeclaration(f"{name}: to be shown it needs a domain, such as domain='loans'")
