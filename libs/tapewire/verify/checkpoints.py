"""Compares every checkpoint in VIEWS with a fold of the log.

The verifier decodes all stored checkpoints first and starts a fold from scratch for each. It then
receives every event of the log. When the log passes a checkpoint's sequence, the verifier compares
the stored state with the folded one and reports the first difference. Memory holds the checkpoints
and as many folds. Of a history, the verifier compares the rows after the last full block, and
checks that every full block is there and complete. Start at `CheckpointVerifier`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tapewire import views
from tapewire.events import CODEC, Undecodable, UnknownType
from tapewire.log import EVERYBODY, BadSubject, Bounds, RecordedEvent
from tapewire.log.checkpoint import BadCheckpoint, join_parts
from tapewire.log.checkpoint_checks import (
    CheckpointCheck,
    DecodedCheckpoint,
    ReferenceFold,
    decode_state,
    event_sequence,
)
from tapewire.log.subjects import decode_token
from tapewire.log.view_checkpoints import ViewType, checkpoint_name
from tapewire.verify.erasures import ErasedUsers
from tapewire.verify.findings import Findings, VerificationDifference, format_value
from tapewire.views.history import BLOCK_ROWS

VIEW_TYPES: dict[str, ViewType[views.View]] = {
    checkpoint_name(kind): kind
    for kind in (getattr(views, name) for name in views.__all__)
    if hasattr(kind, "domain")
}
"""Every view, by the name of its checkpoints."""


class _ViewFold:
    def __init__(self, view_type: ViewType[views.View]) -> None:
        self._view = view_type()

    def apply(self, recorded: RecordedEvent) -> None:
        self._view.apply(recorded.event)
        if isinstance(self._view, views.HistoryView):
            self._view.forget_blocks()

    def state(self) -> Any:
        return CODEC.decode(self._view.encode(), Any)


def _decode_view(data: bytes) -> DecodedCheckpoint:
    stored = decode_state(data)
    state = CODEC.decode(stored.state, Any)
    if isinstance(state, dict):
        state.pop("stored", None)  # of a history; it does not result from events
    return DecodedCheckpoint(stored.epoch, stored.as_of, state)


class _PendingComparison:
    """A stored checkpoint and its fold, which has not reached the checkpoint's sequence yet."""

    __slots__ = ("fold", "name", "owner", "sequence_of", "stored")

    def __init__(
        self,
        owner: str,
        name: str,
        stored: DecodedCheckpoint,
        fold: ReferenceFold,
        sequence_of: Callable[[RecordedEvent], int],
    ) -> None:
        self.owner = owner
        self.name = name
        self.stored = stored
        self.fold = fold
        self.sequence_of = sequence_of


class CheckpointVerifier:
    """Verifies all checkpoints. Call `apply` with every event of the log in order, then `finish`.

    Args:
        stored: the values of VIEWS by key.
        checks: how to verify the checkpoints of event consumers.
        bounds: the bounds of the log that is read.
        user: verify only this user's views; None for those of all users.
        erased_users: checkpoints that cover events of theirs, or may, are not compared.
    """

    def __init__(
        self,
        findings: Findings,
        stored: Mapping[str, bytes],
        checks: Iterable[CheckpointCheck],
        bounds: Bounds,
        *,
        user: str | None,
        erased_users: ErasedUsers,
    ) -> None:
        self._findings = findings
        self._erased_users = erased_users
        self._checks = {check.name: check for check in checks}
        self._bounds = bounds
        self._user = user
        self._pending: defaultdict[tuple[str, str], list[_PendingComparison]] = defaultdict(list)
        self.compared_count = 0
        self.skip_counts: Counter[str] = Counter()
        """Checkpoints that were not compared, by reason."""
        self.cursors: dict[str, int] = {}
        """The sequence that each event consumer has reached, by the name of its checkpoint."""
        self._blocks: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        """The full blocks of each history that can be read."""
        self._block_counts: dict[tuple[str, str], int] = {}
        for key, data in join_parts(stored).items():
            owner, _, name = key.partition(".")
            name, _, block = name.partition(".block-")
            if block:
                self._add_block(decode_token(owner), decode_token(name), int(block), data)
            else:
                self._add_checkpoint(decode_token(owner), decode_token(name), data)
        self._check_blocks()

    def _add_checkpoint(self, owner: str, name: str, data: bytes) -> None:
        if self._user is not None and owner not in (self._user, EVERYBODY):
            return
        check = self._checks.get(name) if owner == EVERYBODY else None
        view_type = VIEW_TYPES.get(name)
        if data.startswith(b"{") and (check or view_type):
            self.skip_counts["in the format of an earlier version"] += 1
            return
        try:
            if check is not None:
                self._add_consumer(check, check.decode(data))
            elif view_type is not None:
                self._add_view(owner, name, view_type, _decode_view(data))
            else:
                self._add_cursor(owner, name, data)
        except ValueError as error:
            self._report(owner, name, 0, f"the checkpoint cannot be read: {error}")

    def _add_block(self, owner: str, name: str, block: int, data: bytes) -> None:
        """Remember a full block of a history, unless it is incomplete."""
        if self._user not in (None, owner):
            return
        try:
            stored = _decode_view(data)
        except ValueError as error:
            self._report(owner, name, 0, f"block {block} cannot be read: {error}")
            return
        if stored.epoch == self._bounds.epoch and len(stored.state) == BLOCK_ROWS:
            self._blocks[owner, name].add(block)

    def _check_blocks(self) -> None:
        for (owner, name), count in self._block_counts.items():
            missing = set(range(count)) - self._blocks[owner, name]
            if missing:
                what = (
                    f"{len(missing)} of {count} full blocks are missing, block {min(missing)} first"
                )
                self._report(owner, name, 0, what)

    def _add_consumer(self, check: CheckpointCheck, stored: DecodedCheckpoint) -> None:
        if not self._check_epoch_and_as_of(EVERYBODY, check.name, stored):
            return
        self.cursors[check.name] = stored.as_of
        if self._is_before(self._erased_users.last_sequence, stored):
            return
        if self._user is None:  # the events of other users are not read
            comparison = _PendingComparison(
                EVERYBODY, check.name, stored, check.make_fold(stored), check.sequence_of
            )
            self._start(("", check.domain), comparison)

    def _add_view(
        self, owner: str, name: str, view_type: ViewType[views.View], stored: DecodedCheckpoint
    ) -> None:
        is_earlier = getattr(view_type, "is_of_earlier_version", lambda _: False)
        if is_earlier(stored.state):
            self.skip_counts["in the format of an earlier version"] += 1
            return
        if not self._check_epoch_and_as_of(owner, name, stored):
            return
        if self._is_before(self._erased_users.erased_up_to(owner), stored):
            return
        if self._user in (None, owner):
            if issubclass(view_type, views.HistoryView):  # type: ignore[arg-type]
                self._block_counts[owner, name] = stored.state["blocks"]
            comparison = _PendingComparison(
                owner, name, stored, _ViewFold(view_type), event_sequence
            )
            self._start((owner, view_type.domain), comparison)

    def _add_cursor(self, owner: str, name: str, data: bytes) -> None:
        """Add a checkpoint without a declared state: only its sequence can be verified."""
        try:
            stored = decode_state(data)
        except BadCheckpoint:
            stored = None
        if stored is None or not stored.as_of:
            self.skip_counts[f"{name.partition('-')[0]}: not folded from the log"] += 1
        elif self._check_epoch_and_as_of(owner, name, stored):
            self.compared_count += 1
            self.cursors[name] = stored.as_of

    def _check_epoch_and_as_of(self, owner: str, name: str, stored: DecodedCheckpoint) -> bool:
        if stored.epoch != self._bounds.epoch and not self._bounds.includes(
            stored.epoch, stored.as_of
        ):
            self.skip_counts["of a log that is no more"] += 1
            return False
        if stored.as_of > self._bounds.last:
            what = f"it is true for {stored.as_of}, the log ends at {self._bounds.last}"
            self._report(owner, name, stored.as_of, what)
            return False
        return True

    def _is_before(self, erasure_sequence: int, stored: DecodedCheckpoint) -> bool:
        is_before = stored.as_of < erasure_sequence
        if is_before:
            self.skip_counts["from before the erasure of a user"] += 1
        return is_before

    def _start(self, owner_and_domain: tuple[str, str], comparison: _PendingComparison) -> None:
        if self._bounds.first > 1:
            self.skip_counts["the log does not reach back to its beginning"] += 1
        else:
            self._pending[owner_and_domain].append(comparison)

    def apply(self, recorded: RecordedEvent) -> None:
        """Fold an event into every checkpoint that it concerns."""
        subject = recorded.event_subject
        for key in ((subject.owner, subject.domain), ("", subject.domain)):
            pending = self._pending.get(key)
            if pending:
                self._pending[key] = [
                    one for one in pending if not self._apply_or_compare(one, recorded)
                ]

    def _apply_or_compare(self, comparison: _PendingComparison, recorded: RecordedEvent) -> bool:
        """Whether the fold has passed the checkpoint and was compared."""
        try:
            if comparison.sequence_of(recorded) <= comparison.stored.as_of:
                comparison.fold.apply(recorded)
                return False
        except (UnknownType, Undecodable, BadSubject):
            return False
        self._compare(comparison)
        return True

    def finish(self) -> None:
        """Compare what is pending: the log has no further events."""
        for pending in self._pending.values():
            for comparison in pending:
                self._compare(comparison)
        self._pending.clear()

    def _compare(self, comparison: _PendingComparison) -> None:
        self.compared_count += 1
        found = first_difference(comparison.stored.state, comparison.fold.state())
        if found is not None:
            path, stored, folded = found
            what = (
                f"{path or 'all of it'} is {format_value(stored)}, "
                f"folded it is {format_value(folded)}"
            )
            self._report(comparison.owner, comparison.name, comparison.stored.as_of, what)

    def _report(self, owner: str, name: str, as_of: int, what: str) -> None:
        self._findings.report(
            VerificationDifference(
                owner=owner, domain="checkpoint", entity=name, sequence=as_of, what=what
            )
        )


MISSING = "not there"


def first_difference(stored: Any, expected: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The path of the first difference, and the two values there; None if there is none."""
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
