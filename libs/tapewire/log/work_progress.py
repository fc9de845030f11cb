"""How far long work is: what backups, archives, verifications and erasures report meanwhile."""

from collections.abc import Callable

import msgspec


class WorkProgress(msgspec.Struct, frozen=True):
    """Where long work is.

    `phase` names what is done now, the same text as long as that lasts. `done` counts what is done
    of it, and `total` what there is in all, in `unit`; None if that is not known. `note` adds a few
    words.
    """

    phase: str
    done: int | None = None
    total: int | None = None
    unit: str = ""
    note: str = ""

    def __str__(self) -> str:
        text = self.phase
        if self.done is not None:
            of_total = "" if self.total is None else f" of {self.total:,}"
            text += f": {self.done:,}{of_total}{f' {self.unit}' if self.unit else ''}"
        return f"{text}, {self.note}" if self.note else text


OnProgress = Callable[[WorkProgress], None]
"""Receives the progress of long work, maybe many times a second."""


def ignore_progress(_progress: WorkProgress) -> None:
    """An `OnProgress` that does nothing."""
