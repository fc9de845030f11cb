"""The conflation groups of a process. Pure.

Sources in `ingest` report which value changed to `ConflationRegistry.mark_changed`; it marks the
value in every group that shows it.
"""

from collections.abc import Callable, Container, Hashable, Iterable

import msgspec

from tapewire.log.light_objects import OnExit
from tapewire_services.edge.delivery.conflation import MAX_UPDATES_PER_SECOND, ConflationGroup
from tapewire_services.edge.delivery.outbox import Outbox
from tapewire_services.edge.delivery.topics import LiveValue

SINGLE_KEY = "newest"
"""The key of values of which there is only one."""


class GroupSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A conflation group that a connection joins.

    Connections share a group when `value`, `owner` and `variant` are equal. The values of
    `initial_keys` are offered to a connection that joins. `render` returns the frames of the newest
    values of the given keys, or nothing when there are none yet.
    """

    value: LiveValue
    variant: Hashable
    render: Callable[[Iterable[str]], bytes]
    owner: str | None = None
    max_rate: float = MAX_UPDATES_PER_SECOND
    keys: Container[str] | None = None
    has_busy_window: bool = False
    initial_keys: frozenset[str] = frozenset()


class ConflationRegistry:
    """The conflation groups of a process, by kind of value, owner and variant.

    Chunks of a group leave at least `window_seconds` apart; those of busy quote groups
    `busy_window_seconds`.
    """

    def __init__(self, window_seconds: float, busy_window_seconds: float = 0.0) -> None:
        self._window_seconds = window_seconds
        self._busy_window_seconds = busy_window_seconds
        self._groups: dict[LiveValue, dict[str | None, dict[Hashable, ConflationGroup]]] = {
            value: {} for value in LiveValue
        }

    def mark_changed(
        self,
        value: LiveValue,
        key: str = SINGLE_KEY,
        owner: str | None = None,
        *,
        is_urgent: bool = False,
    ) -> None:
        """Flush the newest value of `key` to its readers: those of `owner`, or all when None. An
        urgent change does not wait for its readers' rate."""
        by_owner = self._groups[value]
        selected = by_owner.values() if owner is None else (by_owner.get(owner, {}),)
        for groups in selected:
            for group in groups.values():
                group.mark_changed(key, is_urgent=is_urgent)

    def join(self, spec: GroupSpec, outbox: Outbox) -> OnExit:
        """Let `outbox` receive the values of a group until the end of the context."""
        by_owner = self._groups[spec.value]
        groups = by_owner.setdefault(spec.owner, {})
        group = groups.get(spec.variant)
        if group is None:
            group = groups[spec.variant] = self._create_group(spec)
        group.outboxes.add(outbox)
        if spec.initial_keys and (chunk := group.render_latest(spec.initial_keys)):
            outbox.offer_chunk(group, chunk, spec.initial_keys)
        return OnExit(self._leave, (spec.value, spec.owner, spec.variant), group, outbox)

    def _leave(
        self,
        key: tuple[LiveValue, str | None, Hashable],
        group: ConflationGroup,
        outbox: Outbox,
    ) -> None:
        outbox.discard_group(group)
        group.outboxes.discard(outbox)
        if group.outboxes:
            return
        group.close()
        value, owner, variant = key
        groups = self._groups[value][owner]
        del groups[variant]
        if not groups:
            del self._groups[value][owner]

    def _create_group(self, spec: GroupSpec) -> ConflationGroup:
        busy_window_seconds = self._busy_window_seconds if spec.has_busy_window else 0.0
        return ConflationGroup(
            spec.max_rate,
            spec.render,
            self._window_seconds,
            busy_window_seconds,
            keys=spec.keys,
        )
