"""What stop-losses know beyond the log: the best prices seen, kept in VIEWS once a second.

Prices are not in the log. Without the best price since it began, a trailing stop-loss that another
process takes over would begin again from the price then, and trigger too late. A mark that is a
second old is at most a second's prices behind.
"""

from collections.abc import Iterable, Mapping

import msgspec
import structlog

from services.strategies.stoploss import Guard
from tapewire.events import CODEC
from tapewire.log import EVERYBODY, Values

KEY = f"{EVERYBODY}.strategies-marks"
SAVE_SECONDS = 1.0
MARKS_A_SECOND = 5000
"""Guards that a second between two writes pays for; with more they get rarer."""

logger = structlog.get_logger("strategies.marks")


class _Marks(msgspec.Struct, frozen=True, rename="camel"):
    epoch: str
    guards: dict[str, Guard]


class Marks:
    """The guards of log `epoch`, by the subject of their strategy."""

    def __init__(self, values: Values, epoch: str) -> None:
        self._values = values
        self._epoch = epoch
        self._saved: dict[str, Guard] = {}

    async def load(self) -> Mapping[str, Guard]:
        """What was saved last; nothing when that was of another log. Raises LogError."""
        data = await self._values.get(KEY)
        if data is None:
            return {}
        try:
            marks = CODEC.decode(data, _Marks)
        except msgspec.DecodeError as error:
            logger.warning("passes over the marks", error=str(error))
            return {}
        return marks.guards if marks.epoch == self._epoch else {}

    async def save(self, guards: Iterable[tuple[str, Guard]]) -> None:
        """Keep the guards that have seen a price, unless they are kept already. Raises LogError."""
        kept = {subject: guard for subject, guard in guards if guard.best is not None}
        if kept == self._saved:
            return
        await self._values.put(KEY, CODEC.encode(_Marks(self._epoch, kept)))
        self._saved = kept

    def pause(self) -> float:
        """Seconds until it is worth saving again."""
        return max(SAVE_SECONDS, len(self._saved) / MARKS_A_SECOND)
