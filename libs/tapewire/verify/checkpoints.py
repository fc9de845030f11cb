"""Every checkpoint in VIEWS against the log: folded from scratch to its sequence, it is the same.

Each checkpoint has a fold that lives until the log is read past the checkpoint's sequence; then the
first place where the two differ is told. Memory holds the checkpoints and as many views.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from tapewire import views
from tapewire.events import CODEC, Undecodable, UnknownType
from tapewire.log import EVERYBODY, BadSubject, Bounds, Recorded
from tapewire.log.checkpoints import Claim, Fold, Kept, follower, sequence, view
from tapewire.log.subjects import text
from tapewire.log.views import name_of
from tapewire.verify.findings import Difference, Findings, shown


class _Kind(Protocol):
    domain: str

    def __call__(self) -> views.View: ...


KINDS: dict[str, _Kind] = {
    name_of(kind): kind
    for kind in (getattr(views, name) for name in views.__all__)
    if hasattr(kind, "domain")
}
"""Every view there is, by the name that its checkpoints are kept under."""


class _ViewFold:
    def __init__(self, kind: _Kind) -> None:
        self._view = kind()

    def apply(self, recorded: Recorded) -> None:
        self._view.apply(recorded.event)

    def state(self) -> Any:
        return CODEC.decode(self._view.encode(), Any)


class _Watch:
    """A checkpoint and its fold, under way."""

    __slots__ = ("at", "claim", "fold", "name", "owner")

    def __init__(self, owner: str, name: str, claim: Claim, fold: Fold, kept: Kept | None) -> None:
        self.owner = owner
        self.name = name
        self.claim = claim
        self.fold = fold
        self.at = kept.at if kept is not None else sequence


class Checkpoints:
    """All checkpoints. `take` the events in the order of the log, then `finish`."""

    def __init__(
        self,
        findings: Findings,
        stored: Mapping[str, bytes],
        kept: Iterable[Kept],
        bounds: Bounds,
        *,
        user: str | None,
    ) -> None:
        self._findings = findings
        self._kept = {one.name: one for one in kept}
        self._bounds = bounds
        self._watching: defaultdict[tuple[str, str], list[_Watch]] = defaultdict(list)
        self.compared = 0
        self.passed_over: Counter[str] = Counter()
        """Why, and how often."""
        self.cursors: dict[str, int] = {}
        """How far each follower was, by its name."""
        for key, data in stored.items():
            owner, _, name = key.partition(".")
            if user is None or text(owner) == user or owner == EVERYBODY:
                self._meet(text(owner), text(name), data, only=user)

    def _meet(self, owner: str, name: str, data: bytes, *, only: str | None) -> None:
        kept = self._kept.get(name) if owner == EVERYBODY else None
        kind = KINDS.get(name)
        try:
            if kept is not None:
                self._begin(owner, name, kept.read(data), kept.fold, kept, only)
            elif kind is not None:
                self._begin(owner, name, view(data), lambda _: _ViewFold(kind), None, only)
            else:
                self._cursor(owner, name, data)
        except (ValueError, msgspec.DecodeError) as error:
            self._differ(owner, name, 0, f"the checkpoint cannot be read: {error}")

    def _cursor(self, owner: str, name: str, data: bytes) -> None:
        """A checkpoint of which nothing more is known than how far it is, if that."""
        try:
            claim = follower(data)
        except msgspec.DecodeError:
            self.passed_over[f"{name.partition('-')[0]}: not folded from the log"] += 1
            return
        if self._current(owner, name, claim):
            self.compared += 1
            self.cursors[name] = claim.as_of

    def _current(self, owner: str, name: str, claim: Claim) -> bool:
        if claim.epoch != self._bounds.epoch:
            self.passed_over["of a log that is no more"] += 1
            return False
        if claim.as_of > self._bounds.last:
            what = f"it is true for {claim.as_of}, the log ends at {self._bounds.last}"
            self._differ(owner, name, claim.as_of, what)
            return False
        return True

    def _begin(
        self,
        owner: str,
        name: str,
        claim: Claim,
        fold: Any,
        kept: Kept | None,
        only: str | None,
    ) -> None:
        if not self._current(owner, name, claim):
            return
        if kept is not None:
            self.cursors[name] = claim.as_of
        if only is not None and (kept is not None or owner != only):
            return  # what it is folded from is not read
        if self._bounds.first > 1:
            self.passed_over["the log does not reach back to its beginning"] += 1
            return
        place = ("", kept.domain) if kept is not None else (owner, KINDS[name].domain)
        self._watching[place].append(_Watch(owner, name, claim, fold(claim), kept))

    def take(self, recorded: Recorded) -> None:
        """Fold an event into every checkpoint that it concerns."""
        place = recorded.place
        for key in ((place.owner, place.domain), ("", place.domain)):
            watching = self._watching.get(key)
            if watching:
                self._watching[key] = [one for one in watching if not self._over(one, recorded)]

    def _over(self, watch: _Watch, recorded: Recorded) -> bool:
        try:
            if watch.at(recorded) <= watch.claim.as_of:
                watch.fold.apply(recorded)
                return False
        except (UnknownType, Undecodable, BadSubject):
            return False
        self._compare(watch)
        return True

    def finish(self) -> None:
        """No event follows."""
        for watching in self._watching.values():
            for watch in watching:
                self._compare(watch)
        self._watching.clear()

    def _compare(self, watch: _Watch) -> None:
        self.compared += 1
        found = first_difference(watch.claim.state, watch.fold.state())
        if found is not None:
            path, stored, folded = found
            what = f"{path or 'all of it'} is {shown(stored)}, folded it is {shown(folded)}"
            self._differ(watch.owner, watch.name, watch.claim.as_of, what)

    def _differ(self, owner: str, name: str, at: int, what: str) -> None:
        self._findings.difference(
            Difference(owner=owner, domain="checkpoint", entity=name, sequence=at, what=what)
        )


NOTHING = "not there"


def first_difference(stored: Any, folded: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The path to the first place where the two differ, and what each has there."""
    if isinstance(stored, dict) and isinstance(folded, dict):
        for key in [*stored, *(key for key in folded if key not in stored)]:
            inside = f"{path}.{key}" if path else str(key)
            found = first_difference(stored.get(key, NOTHING), folded.get(key, NOTHING), inside)
            if found is not None:
                return found
        return None
    if isinstance(stored, list) and isinstance(folded, list):
        for number in range(max(len(stored), len(folded))):
            one = stored[number] if number < len(stored) else NOTHING
            other = folded[number] if number < len(folded) else NOTHING
            found = first_difference(one, other, f"{path}[{number}]")
            if found is not None:
                return found
        return None
    return None if stored == folded else (path, stored, folded)
