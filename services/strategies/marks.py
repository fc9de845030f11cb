"""What strategies at work know beyond the log, kept in VIEWS once a second, a value a symbol.

Prices are not in the log. Without the best price since it began, a trailing stop-loss that another
process takes over would begin again from the price then, and trigger too late; without the prices
it looks back on, a rule would warm up again. A mark that is a second old is at most a second's
prices behind: a stop-loss goes on from it all the same (`Mark.guard`), but a rule only where no
price is missing, for a window with a hole in it would mislead it (`Mark.place`, `continues`).
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
import structlog

from services.strategies.roster import Member
from services.strategies.stoploss import Guard
from services.strategies.telling import Told
from tapewire.events import CODEC, PriceUpdated
from tapewire.log import EVERYBODY, Values, token

SAVE_SECONDS = 1.0
MARKS_A_SECOND = 2000
"""Marks that a second between two writes pays for; with more they get rarer."""
MOST_BYTES = 900_000
"""Of a value; with more, only the guards are kept. NATS takes a megabyte."""
LARGEST = 64 << 20
"""Bytes that a value may decompress to."""

logger = structlog.get_logger("strategies.marks")


class Place(msgspec.Struct, frozen=True, rename="camel"):
    """Where a strategy stood when it had dealt with the quote of `quoted_at`, and all before: the
    strategy as it was then, its stop-loss, the last decision that was told, and what its
    decision-maker had learnt, a text of JSON (None: nothing, or it cannot say)."""

    quoted_at: datetime
    member: Member
    guard: Guard
    told: Told | None
    memory: str | None


class Mark(msgspec.Struct, frozen=True, rename="camel"):
    """`guard` is the newest, `place` the last one where all was dealt with."""

    guard: Guard = Guard()
    place: Place | None = None


class _Marks(msgspec.Struct, frozen=True, rename="camel"):
    epoch: str
    marks: dict[str, Mark]


def continues(place: Place, member: Member, quote: PriceUpdated) -> bool:
    """Whether `member` can go on from `place` as if nothing had happened: it was not started or
    given another rule since, and `quote` is the one dealt with last, or the very next."""
    return place.member.begun == member.begun and place.quoted_at in (
        quote.timestamp,
        quote.follows,
    )


class Marks:
    """The marks of log `epoch`, by the subject of their strategy."""

    def __init__(self, values: Values, epoch: str) -> None:
        self._values = values
        self._epoch = epoch
        self._saved: dict[str, dict[str, Mark]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def load(self, symbols: Iterable[str]) -> Mapping[str, Mark]:
        """What was saved last of strategies in `symbols`, in this log. Raises LogError."""
        marks: dict[str, Mark] = {}
        for data in await asyncio.gather(*[self._values.get(_key(one)) for one in set(symbols)]):
            if data is not None:
                marks.update(self._read(data))
        return marks

    async def save(self, marks: Iterable[tuple[str, str, Mark]]) -> None:
        """Keep marks, each with its symbol and the subject of its strategy. What is kept already
        costs nothing. Raises LogError."""
        async with self._one_at_a_time:
            for symbol, kept in _by_symbol(marks).items():
                if self._saved.get(symbol) != kept:
                    await self._values.put(_key(symbol), self._written(symbol, kept))
                    self._saved[symbol] = kept

    def keeps(self, marks: Iterable[tuple[str, str, Mark]]) -> bool:
        """Whether all of them are saved as they are."""
        return all(self._saved.get(symbol) == kept for symbol, kept in _by_symbol(marks).items())

    def pause(self) -> float:
        """Seconds until it is worth saving again."""
        return max(SAVE_SECONDS, sum(map(len, self._saved.values())) / MARKS_A_SECOND)

    def _read(self, data: bytes) -> Mapping[str, Mark]:
        try:
            plain = zlib.decompressobj().decompress(data, LARGEST)
            found = CODEC.decode(plain, _Marks)
        except (zlib.error, msgspec.DecodeError) as error:
            logger.warning("passes over marks", error=str(error))
            return {}
        return found.marks if found.epoch == self._epoch else {}

    def _written(self, symbol: str, marks: dict[str, Mark]) -> bytes:
        data = zlib.compress(CODEC.encode(_Marks(self._epoch, marks)), level=1)
        if len(data) <= MOST_BYTES:
            return data
        logger.warning("keeps no places: too many", symbol=symbol, strategies=len(marks))
        guards = {subject: Mark(mark.guard) for subject, mark in marks.items()}
        return zlib.compress(CODEC.encode(_Marks(self._epoch, guards)), level=1)


def _by_symbol(marks: Iterable[tuple[str, str, Mark]]) -> dict[str, dict[str, Mark]]:
    """Those that say anything."""
    found: defaultdict[str, dict[str, Mark]] = defaultdict(dict)
    for symbol, subject, mark in marks:
        if mark.place is not None or mark.guard.best is not None:
            found[symbol][subject] = mark
    return found


def _key(symbol: str) -> str:
    return f"{EVERYBODY}.{token(f'strategies-marks-{symbol}')}"
