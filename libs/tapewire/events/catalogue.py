"""The catalogue: which stored type each event struct has, and how old versions become new ones.

A stored type is an explicit tag, ``order.placed.v1``, never an import path, so that code can move
while the log stays. Start reading at `event`, which names a struct; `Catalogue.decode` is the way
back. Clashes are refused when the module that causes them is imported.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from tapewire.events.codec import CODEC
from tapewire.events.kinds import OWN_STREAMS, BadDeclaration, Delivery, Kind, kind


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that happened. Subclasses are named by `event` and never change meaning."""


E = TypeVar("E", bound=Event)
Upcast = Callable[[dict[str, Any]], dict[str, Any]]


class CatalogueClash(BadDeclaration):
    """Two structs claim one tag, one struct claims two, or two packages one domain or SSE name."""


class UnknownType(LookupError):
    """A stored tag that this program does not know: its producer is newer, or foreign."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"unknown event type {tag!r}: import the package that defines it")
        self.tag = tag


class Undecodable(ValueError):
    """Stored bytes that do not fit their own tag."""

    def __init__(self, tag: str, why: str) -> None:
        super().__init__(f"cannot decode an event of type {tag!r}: {why}")
        self.tag = tag


class Catalogue:
    """Tags to structs and back, with upcasts from every version ever written."""

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {}
        self._tags: dict[type[Event], str] = {}
        self._upcasts: dict[str, tuple[str, Upcast]] = {}

    def add(self, kind: Kind) -> None:
        """Let the struct of `kind` be the current version of its name.

        Raises:
            CatalogueClash: the tag, the struct, the domain or the SSE name is taken.
        """
        struct, tag = kind.struct, kind.tag
        if tag in self._kinds or tag in self._upcasts:
            raise CatalogueClash(f"{tag!r} is taken; {struct.__name__} needs a name of its own")
        if struct in self._tags:
            raise CatalogueClash(f"{struct.__name__} is already {self._tags[struct]!r}")
        for other in self._kinds.values():
            _refuse_foreign(kind, other)
        self._kinds[tag] = kind
        self._tags[struct] = tag

    def add_upcast(self, name: str, version: int, upcast: Upcast) -> None:
        """Let `upcast` turn the JSON object of `version` into that of ``version + 1``.

        Raises:
            CatalogueClash: the tag is a current one, or already has an upcast.
        """
        tag = f"{name}.v{version}"
        if tag in self._kinds or tag in self._upcasts:
            raise CatalogueClash(f"{tag!r} is taken; it cannot be upcast as well")
        self._upcasts[tag] = (f"{name}.v{version + 1}", upcast)

    def tag(self, struct: type[Event]) -> str:
        """The tag that `struct` is stored under.

        Raises:
            UnknownType: the struct was never named by `event`.
        """
        try:
            return self._tags[struct]
        except KeyError:
            raise UnknownType(struct.__name__) from None

    def tags(self) -> list[str]:
        """Every tag that can be decoded, old versions included, sorted."""
        return sorted([*self._kinds, *self._upcasts])

    def struct(self, tag: str) -> type[Event]:
        """The struct that events stored as `tag` become."""
        found: type[Event] = self.stored_as(tag).struct
        return found

    def stored_as(self, tag: str) -> Kind:
        """What is declared of the type that events stored as `tag` become. Raises UnknownType."""
        while tag in self._upcasts:
            tag = self._upcasts[tag][0]
        try:
            return self._kinds[tag]
        except KeyError:
            raise UnknownType(tag) from None

    def kind(self, struct: type[Event]) -> Kind:
        """What is declared of `struct`. Raises UnknownType."""
        return self._kinds[self.tag(struct)]

    def kinds(self) -> list[Kind]:
        """Every current type, by tag."""
        return [self._kinds[tag] for tag in sorted(self._kinds)]

    def decode(self, tag: str, data: bytes) -> Event:
        """The event stored as `tag` in `data`, upcast to its current version.

        Raises:
            UnknownType: no such tag here.
            Undecodable: the bytes do not fit the tag.
        """
        try:
            if tag in self._upcasts:
                return self._decode_old(tag, data)
            return CODEC.decode(data, self.struct(tag))
        except msgspec.DecodeError as error:
            raise Undecodable(tag, str(error)) from error

    def _decode_old(self, tag: str, data: bytes) -> Event:
        fields, stored = CODEC.decode(data, dict[str, Any]), tag
        while tag in self._upcasts:
            tag, upcast = self._upcasts[tag]
            try:
                fields = upcast(fields)
            except Exception as error:
                raise Undecodable(stored, f"its upcast failed: {error!r}") from error
        return CODEC.convert(fields, self.struct(tag))


CATALOGUE = Catalogue()


def _refuse_foreign(kind: Kind, other: Kind) -> None:
    """A domain, and the name of an SSE event, belong to one package."""
    if kind.package == other.package:
        return
    if kind.domain is not None and kind.domain == other.domain:
        raise CatalogueClash(
            f"{kind.tag}: the domain {kind.domain!r} belongs to the package {other.package!r}"
        )
    if kind.shown is not None and other.shown is not None and kind.shown.sse == other.shown.sse:
        raise CatalogueClash(
            f"{kind.tag}: SSE name {kind.shown.sse!r} belongs to {other.tag} of {other.package!r}"
        )


def event(
    name: str,
    *,
    version: int = 1,
    domain: str | None = None,
    sse: str | None = None,
    delivery: Delivery = Delivery.LOSSLESS,
    streams: Sequence[str] = OWN_STREAMS,
    at: str | None = None,
    into: Catalogue = CATALOGUE,
) -> Callable[[type[E]], type[E]]:
    """Store the decorated struct as ``{name}.v{version}``.

    In a package of your own: ``@tapewire.event("loan.made", domain="loans", sse="loan:made")``.
    `domain` is where its events live, ``ev.{owner}.loans.{entity}``. With `sse`, the owner's
    browsers are shown it under that name on `streams`: as it is, in camelCase, with an id.
    ``delivery=Delivery.NEWEST_WINS`` makes it a value instead, which has no domain and no id.
    `at` is Tapewire's own way to say where a type lives.

    Raises:
        BadDeclaration, CatalogueClash: when the module that declares it is imported.
    """

    def register(struct: type[E]) -> type[E]:
        if not (isinstance(struct, type) and issubclass(struct, Event)):
            raise BadDeclaration(f"{name}: {struct!r} is no subclass of tapewire.Event")
        declared = kind(
            name, version, struct, at=at, domain=domain, sse=sse, delivery=delivery, streams=streams
        )
        into.add(declared)
        return struct

    return register


def upcast(name: str, *, version: int, into: Catalogue = CATALOGUE) -> Callable[[Upcast], Upcast]:
    """Let the decorated function lift the JSON object of `version` by one version."""

    def register(function: Upcast) -> Upcast:
        into.add_upcast(name, version, function)
        return function

    return register
