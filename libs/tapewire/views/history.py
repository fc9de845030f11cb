"""Histories: all entries of a list, however long, in the order in which they came to be.

The other views retain what a client sees now. A history retains everything, in blocks of
`BLOCK_ROWS` rows: entry ``n`` is in block ``n // BLOCK_ROWS``. Full blocks are stored apart from
the view, each under a key of its own; the view holds the rows after the last full block. Everybody
who folds the same log numbers the entries alike, so a number is a cursor that stays valid.

An entry that may still change, such as an open order, keeps its number in the view. A change of an
entry in a stored block is a patch, which is held until the block is stored again.
`tapewire.log.history_store` stores histories, `tapewire.log.history` reads them. Start at
`HistoryView`.
"""

from typing import Any, ClassVar, Generic, Self, TypeVar

import msgspec

from tapewire.events import CODEC, Event

BLOCK_ROWS = 256
"""Rows of a full block."""
MAX_FINAL_NUMBERS = 256
"""Entries that are final, and can be changed in their blocks all the same: an execution of a closed
order may be reported late. An entry that became final before so many others is changed when it is
read."""
MAX_LATE_ROWS = 256
"""Entries that were changed after their numbers were forgotten. One that was changed before so many
others is listed as it was before."""
MAX_STORED_SEQUENCES = 512
"""Blocks whose sequence the view remembers."""

R = TypeVar("R")


class _State(msgspec.Struct, frozen=True, omit_defaults=True):
    """The number of full blocks, the rows after them as JSON, the numbers of the entries that may
    still change, the sequences as of which the last blocks were stored, the numbers of the entries
    that became final last, and entries that were changed later than that."""

    blocks: int
    rows: msgspec.Raw
    numbers: dict[str, int] = {}
    stored: dict[int, int] = {}
    finals: dict[str, int] = {}
    late: dict[str, msgspec.Raw] = {}


class HistoryChange(msgspec.Struct, Generic[R], frozen=True):
    """What an event does to a history. `key` identifies an entry that may change later; None for
    one that never does. `is_new`: the entry is added. `number`: the entry to replace, if the event
    knows its number."""

    row: R
    key: str | None = None
    number: int | None = None
    is_new: bool = True
    is_final: bool = True


class HistoryView(Generic[R]):
    """The history of one owner's entities of one domain. Subclasses say what an event changes."""

    domain: ClassVar[str]
    name: ClassVar[str]
    row_type: ClassVar[Any]
    block_rows: ClassVar[int] = BLOCK_ROWS
    has_changing_rows: ClassVar[bool] = False
    """Whether stored rows may change. Otherwise a stored block is true for ever."""

    def __init__(self) -> None:
        self._block_count = 0
        self._last_rows: list[R] = []
        self._numbers: dict[str, int] = {}
        self._final_numbers: dict[str, int] = {}
        self._late_rows: dict[str, R] = {}
        """Changed rows whose numbers are not known any more."""
        self._unstored_blocks: dict[int, list[R]] = {}
        self._patches: dict[int, dict[int, R]] = {}
        """Changed rows of stored blocks, by block and by position in it."""
        self._stored_sequences: dict[int, int] = {}

    @property
    def row_count(self) -> int:
        """The number of all rows, those in stored blocks included."""
        return self._block_count * self.block_rows + len(self._last_rows)

    @property
    def held_row_count(self) -> int:
        """The number of rows that this object has in memory."""
        patched = sum(len(patches) for patches in self._patches.values())
        changed = patched + len(self._late_rows)
        return len(self._last_rows) + len(self._unstored_blocks) * self.block_rows + changed

    @property
    def changed_block_count(self) -> int:
        """The number of full blocks that have to be stored, for the first time or again."""
        return len(self._unstored_blocks) + len(self._patches)

    @classmethod
    def change_of(cls, event: Event) -> HistoryChange[R] | None:
        """What `event` changes, if anything."""
        raise NotImplementedError

    def apply(self, event: Event) -> None:
        """Apply one event of the domain."""
        change = self.change_of(event)
        if change is None:
            return
        if change.number is not None:
            if change.number < self.row_count:
                self._replace(change.number, change.row)
            return
        number = None if change.key is None else self._find_number(change.key)
        if number is not None:
            self._replace(number, change.row)
        elif change.is_new:
            number = self.row_count
            self._append(change.row)
        elif change.key is not None:
            self._add_late_row(change.key, change.row)
        if change.key is not None and number is not None:
            self._set_number(change.key, number, is_final=change.is_final)

    @classmethod
    def key_of(cls, row: R) -> str:
        """What identifies the entry of `row`. Only for entries that may change after they became
        final."""
        raise NotImplementedError

    def late_rows(self) -> dict[str, R]:
        """The newest rows of entries that their blocks do not have, by `key_of`."""
        return dict(self._late_rows)

    def held_rows(self, block: int) -> list[R] | None:
        """The rows of `block` if this object holds them; None if they are stored."""
        return self._last_rows if block == self._block_count else self._unstored_blocks.get(block)

    def patches(self, block: int) -> dict[int, R]:
        """The changed rows of a stored block since it was stored, by their position in it."""
        return dict(self._patches.get(block, ()))

    def unstored_blocks(self) -> dict[int, list[R]]:
        """Full blocks that were not stored yet, as far as this object knows."""
        return dict(self._unstored_blocks)

    def patched_blocks(self) -> list[int]:
        """The stored blocks that have to be stored again."""
        return list(self._patches)

    def stored_sequence(self, block: int) -> int:
        """The sequence as of which `block` was stored, 0 if that is long ago. A replica that has an
        earlier one lags."""
        return self._stored_sequences.get(block, 0)

    def mark_stored(self, as_of: int) -> None:
        """Forget full blocks and patches, because they are stored as of `as_of` with this view."""
        for block in (*self._unstored_blocks, *self._patches):
            self._stored_sequences.pop(block, None)
            self._stored_sequences[block] = as_of
        while len(self._stored_sequences) > MAX_STORED_SEQUENCES:
            del self._stored_sequences[next(iter(self._stored_sequences))]
        self.forget_blocks()

    def forget_blocks(self) -> None:
        """Forget full blocks and patches."""
        self._unstored_blocks.clear()
        self._patches.clear()

    def encode(self) -> bytes:
        """The state without full blocks, which are stored together with it after `mark_stored`."""
        rows = msgspec.Raw(CODEC.encode(self._last_rows))
        late = {key: msgspec.Raw(CODEC.encode(row)) for key, row in self._late_rows.items()}
        state = _State(
            self._block_count,
            rows,
            self._numbers,
            self._stored_sequences,
            self._final_numbers,
            late,
        )
        return CODEC.encode(state)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        state, view = CODEC.decode(data, _State), cls()
        view._block_count = state.blocks
        view._last_rows = cls.decode_block(bytes(state.rows))
        view._numbers = dict(state.numbers)
        view._final_numbers = dict(state.finals)
        view._stored_sequences = dict(state.stored)
        for key, row in state.late.items():
            view._late_rows[key] = CODEC.decode(bytes(row), cls.row_type)
        return view

    @classmethod
    def decode_block(cls, data: bytes) -> list[R]:
        """The rows of a block. Raises msgspec.DecodeError."""
        rows: list[R] = CODEC.decode(data, list[cls.row_type])  # type: ignore[name-defined]
        return rows

    def _append(self, row: R) -> None:
        self._last_rows.append(row)
        if len(self._last_rows) == self.block_rows:
            self._unstored_blocks[self._block_count] = self._last_rows
            self._block_count += 1
            self._last_rows = []

    def _replace(self, number: int, row: R) -> None:
        block, position = divmod(number, self.block_rows)
        rows = self.held_rows(block)
        if rows is None:
            self._patches.setdefault(block, {})[position] = row
        else:
            rows[position] = row

    def _add_late_row(self, key: str, row: R) -> None:
        self._late_rows.pop(key, None)
        self._late_rows[key] = row
        if len(self._late_rows) > MAX_LATE_ROWS:
            del self._late_rows[next(iter(self._late_rows))]

    def _find_number(self, key: str) -> int | None:
        number = self._numbers.get(key)
        return self._final_numbers.get(key) if number is None else number

    def _set_number(self, key: str, number: int, *, is_final: bool) -> None:
        if not is_final:
            self._numbers[key] = number
            return
        self._numbers.pop(key, None)
        self._final_numbers.pop(key, None)
        self._final_numbers[key] = number
        if len(self._final_numbers) > MAX_FINAL_NUMBERS:
            del self._final_numbers[next(iter(self._final_numbers))]
