"""What is declared of an event type beside its struct: where it lives and how clients are shown it.

A type that is `LOSSLESS` is an event of the journal, shown with an id. One that is `NEWEST_WINS` is
a value: of each owner and entity only the newest is kept, and shown without an id. `check` refuses
what cannot be; the catalogue refuses what clashes.
"""

import enum
import re
from collections.abc import Sequence

import msgspec

HOUSE = "tapewire"
"""The package whose own types may live and be called as they like."""
_WORDS = """
agent ai alert auth checkpoint connection heartbeat metrics notification order ping position price
report rule session stream strategy tape trade
"""
HOUSE_WORDS = frozenset(_WORDS.split())
"""First words of the names of SSE events that are Tapewire's, now or later."""
OWN_STREAMS = ("trading",)
"""Where types of other packages are shown unless they say where."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_DOMAIN = re.compile(r"[a-z][a-z0-9_-]*")
_SSE = re.compile(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*")


class BadDeclaration(ValueError):
    """An event type that cannot be declared so; says which, and why."""


class Delivery(enum.Enum):
    """What happens when a reader is slower than the events."""

    LOSSLESS = "lossless"
    NEWEST_WINS = "newest wins"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """How clients are shown a type: the name of the SSE event, and on which streams."""

    sse: str
    streams: tuple[str, ...]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A declared type. `subject` says where it lives, with ``{…}`` for what differs; `domain` is
    that part of it, None for values and for types that were declared without one."""

    name: str
    version: int
    struct: type
    subject: str | None
    domain: str | None
    delivery: Delivery
    shown: Shown | None

    @property
    def tag(self) -> str:
        """What it is stored as."""
        return f"{self.name}.v{self.version}"

    @property
    def package(self) -> str:
        """The top-level package that declared it."""
        return self.struct.__module__.partition(".")[0]


def kind(
    name: str,
    version: int,
    struct: type,
    *,
    at: str | None = None,
    domain: str | None = None,
    sse: str | None = None,
    delivery: Delivery = Delivery.LOSSLESS,
    streams: Sequence[str] = OWN_STREAMS,
) -> Kind:
    """The declaration, checked. Raises BadDeclaration."""
    if isinstance(streams, str):
        raise BadDeclaration(f"{name}: streams is a tuple of names, not the text {streams!r}")
    if at is None and domain is not None:
        at = f"ev.{{owner}}.{domain}.{{entity}}"
    if delivery is Delivery.NEWEST_WINS and at is None:
        at = f"val.{{owner}}.{name}.v{version}.{{entity}}"
    made = Kind(
        name=name,
        version=version,
        struct=struct,
        subject=at,
        domain=domain or (at.split(".")[2] if at and at.startswith("ev.") else None),
        delivery=delivery,
        shown=None if sse is None else Shown(sse=sse, streams=tuple(streams)),
    )
    _check(made)
    return made


def _check(kind: Kind) -> None:
    name, domain, shown = kind.name, kind.domain, kind.shown
    if not _NAME.fullmatch(name):
        raise BadDeclaration(f"{name!r} names no event: write it like 'loan.made', in a-z, 0-9, _")
    if kind.version < 1:
        raise BadDeclaration(f"{name}: versions begin with 1, not {kind.version}")
    if domain is not None and not _DOMAIN.fullmatch(domain):
        raise BadDeclaration(f"{name}: domain {domain!r} is no word of a-z, 0-9, _ and -")
    if domain is not None and kind.delivery is Delivery.NEWEST_WINS:
        raise BadDeclaration(f"{name}: a newest-wins value has no domain ({domain!r})")
    if shown is None or kind.package == HOUSE:
        return
    if not _SSE.fullmatch(shown.sse):
        raise BadDeclaration(f"{name}: sse {shown.sse!r} must be like 'loan:made'")
    if shown.sse.partition(":")[0] in HOUSE_WORDS:
        raise BadDeclaration(f"{name}: sse {shown.sse!r} would look like one of Tapewire's own")
    if not shown.streams:
        raise BadDeclaration(f"{name}: sse {shown.sse!r} is shown on no stream; name one")
    if domain is None and kind.delivery is Delivery.LOSSLESS:
        raise BadDeclaration(f"{name}: to be shown it needs a domain, such as domain='loans'")
