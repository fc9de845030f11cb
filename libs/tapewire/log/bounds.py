"""The extent of the log, and the epochs that it continues."""

import msgspec


class Bounds(msgspec.Struct, frozen=True):
    """The extent of the log.

    `epoch` names this incarnation of the log: a letter, then letters and digits. It changes when
    the log is recreated, when the loss of events was accepted, and when a server was restarted
    with nobody left who knew how far the log had reached. `first` is the sequence from which on the
    log has everything, or ``last + 1`` if it has nothing; of an archived log, single earlier events
    of entities that are not finished are still stored. `last` is the last sequence that
    was assigned. `earlier` holds the epochs that this log continues, each with the last sequence
    that was found when the next epoch began.
    """

    epoch: str
    first: int
    last: int
    earlier: tuple[tuple[str, int], ...] = ()

    @property
    def epochs(self) -> tuple[str, ...]:
        """All epochs of this log, the current one last."""
        return (*(epoch for epoch, _ in self.earlier), self.epoch)

    def includes(self, epoch: str, sequence: int) -> bool:
        """Whether the events up to `sequence` of the log `epoch` are those of this log."""
        if epoch == self.epoch:
            return sequence <= self.last
        return any(name == epoch and sequence <= end for name, end in self.earlier)
