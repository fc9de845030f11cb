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
from tapewire.log import EVERYBODY, BadSubject, Bounds, RecordedEvent
from tapewire.log.checkpoint import BadCheckpoint
from tapewire.log.checkpoint_checks import (
    CheckpointCheck,
    DecodedCheckpoint,
    ReferenceFold,
    decode_follower_checkpoint,
    decode_view_checkpoint,
    event_sequence,
)
from tapewire.log.subjects import decode_token
from tapewire.log.view_checkpoints import checkpoint_name
from tapewire.verify.findings import Findings, VerificationDifference, format_value


class _ViewType(Protocol):
    domain: str

    def __call__(self) -> views.View: ...


VIEW_TYPES: dict[str, _ViewType] = {
    checkpoint_name(kind): kind
    for kind in (getattr(views, name) for name in views.__all__)
    if hasattr(kind, "domain")
}
"""Every view there is, by the name that its checkpoints are kept under."""


class _ViewFold:
    def __init__(self, view_type: _ViewType) -> None:
        self._view = view_type()

    def apply(self, recorded: RecordedEvent) -> None:
        self._view.apply(recorded.event)

    def state(self) -> Any:
        return CODEC.decode(self._view.encode(), Any)


class _PendingComparison:
    """A checkpoint and its fold, under way."""

    __slots__ = ("claim", "fold", "name", "owner", "sequence_of")

    def __init__(
        self,
        owner: str,
        name: str,
        claim: DecodedCheckpoint,
        fold: ReferenceFold,
        check: CheckpointCheck | None,
    ) -> None:
        self.owner = owner
        self.name = name
        self.claim = claim
        self.fold = fold
        self.sequence_of = check.sequence_of if check is not None else event_sequence


class CheckpointVerifier:
    """All checkpoints. `take` the events in the order of the log, then `finish`."""

    def __init__(
        self,
        findings: Findings,
        stored: Mapping[str, bytes],
        checks: Iterable[CheckpointCheck],
        bounds: Bounds,
        *,
        user: str | None,
    ) -> None:
        self._findings = findings
        self._checks = {one.name: one for one in checks}
        self._bounds = bounds
        self._pending: defaultdict[tuple[str, str], list[_PendingComparison]] = defaultdict(list)
        self.compared_count = 0
        self.skip_counts: Counter[str] = Counter()
        """Why, and how often."""
        self.cursors: dict[str, int] = {}
        """How far each follower was, by its name."""
        for key, data in stored.items():
            owner, _, name = key.partition(".")
            if user is None or decode_token(owner) == user or owner == EVERYBODY:
                self._add_checkpoint(decode_token(owner), decode_token(name), data, only_user=user)

    def _add_checkpoint(self, owner: str, name: str, data: bytes, *, only_user: str | None) -> None:
        kept = self._checks.get(name) if owner == EVERYBODY else None
        kind = VIEW_TYPES.get(name)
        try:
            if data.startswith(b"{") and (kept or kind):
                self.skip_counts["in the format of an earlier version"] += 1
            elif kept is not None:
                self._start_comparison(
                    owner, name, kept.decode(data), kept.make_fold, kept, only_user
                )
            elif kind is not None:
                self._start_comparison(
                    owner,
                    name,
                    decode_view_checkpoint(data),
                    lambda _: _ViewFold(kind),
                    None,
                    only_user,
                )
            else:
                self._add_cursor(owner, name, data)
        except (ValueError, msgspec.DecodeError) as error:
            self._report(owner, name, 0, f"the checkpoint cannot be read: {error}")

    def _add_cursor(self, owner: str, name: str, data: bytes) -> None:
        """A checkpoint of which nothing more is known than how far it is, if that."""
        try:
            claim = decode_follower_checkpoint(data)
        except BadCheckpoint:
            claim = None
        if claim is None or not claim.as_of:
            self.skip_counts[f"{name.partition('-')[0]}: not folded from the log"] += 1
            return
        if self._check_epoch_and_as_of(owner, name, claim):
            self.compared_count += 1
            self.cursors[name] = claim.as_of

    def _check_epoch_and_as_of(self, owner: str, name: str, claim: DecodedCheckpoint) -> bool:
        if claim.epoch != self._bounds.epoch:
            self.skip_counts["of a log that is no more"] += 1
            return False
        if claim.as_of > self._bounds.last:
            what = f"it is true for {claim.as_of}, the log ends at {self._bounds.last}"
            self._report(owner, name, claim.as_of, what)
            return False
        return True

    def _start_comparison(
        self,
        owner: str,
        name: str,
        claim: DecodedCheckpoint,
        fold: Any,
        check: CheckpointCheck | None,
        only_user: str | None,
    ) -> None:
        if not self._check_epoch_and_as_of(owner, name, claim):
            return
        if check is not None:
            self.cursors[name] = claim.as_of
        if only_user is not None and (check is not None or owner != only_user):
            return  # what it is folded from is not read
        if self._bounds.first > 1:
            self.skip_counts["the log does not reach back to its beginning"] += 1
            return
        place = ("", check.domain) if check is not None else (owner, VIEW_TYPES[name].domain)
        self._pending[place].append(_PendingComparison(owner, name, claim, fold(claim), check))

    def apply(self, recorded: RecordedEvent) -> None:
        """Fold an event into every checkpoint that it concerns."""
        place = recorded.event_subject
        for key in ((place.owner, place.domain), ("", place.domain)):
            watching = self._pending.get(key)
            if watching:
                self._pending[key] = [
                    one for one in watching if not self._apply_or_compare(one, recorded)
                ]

    def _apply_or_compare(self, comparison: _PendingComparison, recorded: RecordedEvent) -> bool:
        try:
            if comparison.sequence_of(recorded) <= comparison.claim.as_of:
                comparison.fold.apply(recorded)
                return False
        except (UnknownType, Undecodable, BadSubject):
            return False
        self._compare(comparison)
        return True

    def finish(self) -> None:
        """No event follows."""
        for watching in self._pending.values():
            for watch in watching:
                self._compare(watch)
        self._pending.clear()

    def _compare(self, comparison: _PendingComparison) -> None:
        self.compared_count += 1
        found = first_difference(comparison.claim.state, comparison.fold.state())
        if found is not None:
            path, stored, folded = found
            what = (
                f"{path or 'all of it'} is {format_value(stored)}, "
                f"folded it is {format_value(folded)}"
            )
            self._report(comparison.owner, comparison.name, comparison.claim.as_of, what)

    def _report(self, owner: str, name: str, as_of: int, what: str) -> None:
        self._findings.report(
            VerificationDifference(
                owner=owner, domain="checkpoint", entity=name, sequence=as_of, what=what
            )
        )


MISSING = "not there"


def first_difference(stored: Any, expected: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The path to the first place where the two differ, and what each has there."""
    if isinstance(stored, dict) and isinstance(expected, dict):
        for key in [*stored, *(key for key in expected if key not in stored)]:
            inside = f"{path}.{key}" if path else str(key)
            found = first_difference(stored.get(key, MISSING), expected.get(key, MISSING), inside)
            if found is not None:
                return found
        return None
    if isinstance(stored, list) and isinstance(expected, list):
        for number in range(max(len(stored), len(expected))):
            one = stored[number] if number < len(stored) else MISSING
            other = expected[number] if number < len(expected) else MISSING
            found = first_difference(one, other, f"{path}[{number}]")
            if found is not None:
                return found
        return None
    return None if stored == expected else (path, stored, expected)
