"""Splits the shares of a symbol, in the process that holds the broker's lease.

Every execution before the split is of the old shares, and every one after it of the new shares: the
broker executes nothing of the symbol while the split is stored, and goes on once there is a quote
of the new shares. Start at `SymbolSplits.split`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from tapewire.events import SplitExecuted, SplitRatio
from tapewire.events.splits import SPLIT_DOMAINS
from tapewire.log import (
    EVERYBODY,
    AlreadyStored,
    CommandRejected,
    Conflict,
    EventLog,
    EventSubject,
    OutcomeUnknown,
    Unavailable,
)
from tapewire.log.bounds import Bounds
from tapewire.log.idempotency import KEY_REUSED
from tapewire.log.splits import make_split, make_split_drafts, read_splits
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.orders import SplitReply, SplitSymbol
from tapewire_services.field_validation import (
    validate_integer_field,
    validate_symbol_field,
    validate_text_field,
)
from tapewire_services.orders.broker_runner import BrokerRunner

MAX_RATIO = 10_000
"""The largest number of shares on either side of a ratio."""
MAX_SPLIT_ID_LENGTH = 64


class SymbolSplits:
    """Handles `svc.orders.split`.

    Args:
        read_quote_bounds: the extent of the market stream: what it holds is of the old shares.
        knows_symbol: whether the symbol was ever quoted.
    """

    def __init__(
        self,
        log: EventLog,
        runner: BrokerRunner,
        on_split: Callable[[SplitExecuted], None],
        read_quote_bounds: Callable[[], Awaitable[Bounds]],
        knows_symbol: Callable[[str], bool],
        holds_lease: Callable[[], bool] = lambda: True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._runner = runner
        self._on_split = on_split
        self._read_quote_bounds = read_quote_bounds
        self._knows_symbol = knows_symbol
        self._holds_lease = holds_lease
        self._clock = clock
        self._lock = asyncio.Lock()

    async def split(self, request: SplitSymbol, _: RequestContext) -> SplitReply:
        """Split the shares, or tell how far the split of this id has come."""
        ratio = _validate(request)
        if not self._knows_symbol(request.symbol):
            raise CommandRejected("not_found", f"{request.symbol} was never quoted", "symbol")
        async with self._lock:
            split = await self._find(request, ratio)
            if split is None:
                async with self._runner.hold_symbol(request.symbol):
                    split = await self._store(request, ratio)
                    self._on_split(split)
        return SplitReply(
            split=split,
            sequences=await self._read_sequences(split),
            unsplit_orders=self._runner.unsplit_count(split.symbol),
        )

    async def _find(self, request: SplitSymbol, ratio: SplitRatio) -> SplitExecuted | None:
        """The split that is stored under this id."""
        for recorded in await read_splits(self._log, request.symbol):
            event = recorded.event
            if isinstance(event, SplitExecuted) and event.split_id == request.split_id:
                if event.ratio != ratio:
                    message = f"split {request.split_id!r} has another ratio already"
                    raise CommandRejected(KEY_REUSED, message, "splitId")
                return event
        return None

    async def _store(self, request: SplitSymbol, ratio: SplitRatio) -> SplitExecuted:
        earlier = await read_splits(self._log, request.symbol)
        bounds = await self._read_quote_bounds()
        split = make_split(
            request.split_id,
            request.symbol,
            ratio,
            len(earlier) + 1,
            (bounds.epoch, bounds.last),
            self._clock(),
        )
        if not self._holds_lease():
            raise Unavailable("another process has taken over the broker: try again")
        try:
            last = earlier[-1].sequence if earlier else 0
            await self._log.append(make_split_drafts(split, last))
        except (AlreadyStored, Conflict, OutcomeUnknown) as error:
            stored = await self._find(request, ratio)
            if stored is None:
                raise Unavailable(f"the split may not be stored: try again ({error})") from error
            return stored
        return split

    async def _read_sequences(self, split: SplitExecuted) -> dict[str, int]:
        subjects = (EventSubject(EVERYBODY, domain, split.symbol) for domain in SPLIT_DOMAINS)
        return {subject.domain: await self._log.last_sequence(str(subject)) for subject in subjects}


def _validate(request: SplitSymbol) -> SplitRatio:
    validate_symbol_field("symbol", request.symbol)
    validate_text_field("splitId", request.split_id, max_length=MAX_SPLIT_ID_LENGTH)
    for path, number in (("shares", request.shares), ("forShares", request.for_shares)):
        validate_integer_field(path, number, minimum=1, maximum=MAX_RATIO)
    if request.shares == request.for_shares:
        raise CommandRejected("invalid", "one share for one is no split", "shares")
    return SplitRatio(shares=request.shares, for_shares=request.for_shares)
