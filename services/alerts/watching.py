"""Eyes on the prices: judges every quote in every process, and triggers rules in one.

`see` and the market keep the judge up to date everywhere; what it hits is remembered until the log
says that the rule was triggered. The holder of the lease (`work`) has that said, so whoever takes
over says what its predecessor could not, and misses no price between. `keep` saves the past of
prices that rules on moves look back on, for processes that start later (`recall`).
"""

import asyncio
import random
from datetime import datetime

import msgspec
import structlog

from services.alerts.alarms import Alarms, Cause
from services.alerts.domain.armed import Armed
from services.alerts.domain.extremes import Past
from services.alerts.domain.prices import Hit, PriceJudge
from tapewire.events import CODEC
from tapewire.log import EVERYBODY, LogError, Values, token
from tapewire.log.market import Market
from tapewire.log.patience import Patience, fresh_chance

KEEP_SECONDS = 5.0
"""What the memory of moves loses when all processes die, at the most."""

logger = structlog.get_logger("alerts.watching")


class Watch:
    """One process's judge of prices."""

    def __init__(
        self, market: Market, values: Values, alarms: Alarms, chance: random.Random | None = None
    ) -> None:
        self._market = market
        self._values = values
        self._alarms = alarms
        self._chance = chance or fresh_chance()
        self._judge = PriceJudge()
        self._hits: dict[str, Hit] = {}
        self._hit = asyncio.Event()
        self._cared: set[str] = set()
        self._recalled: set[str] = set()
        self._caring = asyncio.Event()
        self._kept: dict[str, bytes] = {}
        self._keeping = asyncio.Lock()

    def start(self) -> None:
        """Judge what is quoted, and every quote to come."""
        self._market.listen(self._quoted)
        for symbol in self._market.symbols():
            self._quoted(symbol)

    def see(self, rule_id: str, armed: Armed | None) -> None:
        """The log has news of a rule."""
        self._hits.pop(rule_id, None)
        if armed is None:
            self._judge.disarm(rule_id)
        else:
            self._note(self._judge.arm(armed))

    def care(self, symbols: set[str]) -> None:
        """Rules, armed or not, look back on the past of `symbols`."""
        self._cared = symbols
        self._caring.set()

    def forget(self) -> None:
        """What the log said is void."""
        self._hits.clear()
        self._judge.forget_rules()

    @property
    def busy(self) -> int:
        """Rules that were hit, of which the log does not say yet that they were triggered; and
        symbols whose past is not known yet."""
        return len(self._hits) + len(self._cared - self._recalled)

    def quotes(self) -> dict[str, datetime]:
        """The time of the last quote that was judged, by symbol."""
        return self._judge.quoted()

    async def keep(self) -> None:
        """Keep what there was of prices now: only what was recalled before, so that a short memory
        never replaces a long one. Raises LogError."""
        async with self._keeping:
            for symbol in self._cared & self._recalled:
                data = CODEC.encode(self._judge.extremes(symbol).past())
                if self._kept.get(symbol) != data:
                    await self._values.put(_key(symbol), data)
                    self._kept[symbol] = data

    async def work(self) -> None:
        """Trigger what was hit, and keep the past, until canceled: one process does."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trigger())
            group.create_task(self._keep())

    async def recall(self) -> None:
        """Learn the past that was kept, of each symbol that rules look back on, until canceled."""
        patience = Patience(self._chance)
        while True:
            self._caring.clear()
            try:
                for symbol in self._cared - self._recalled:
                    await self._learn(symbol)
            except LogError as error:
                logger.warning("cannot recall prices", error=str(error))
                await patience.wait()
            else:
                patience.reset()
                await self._caring.wait()

    def _quoted(self, symbol: str) -> None:
        quote = self._market.quote(symbol)
        if quote is not None:
            self._note(self._judge.quote(quote))

    def _note(self, hits: list[Hit]) -> None:
        for hit in hits:
            self._hits[hit.armed.rule.rule_id] = hit
        if hits:
            self._hit.set()

    async def _trigger(self) -> None:
        patience = Patience(self._chance)
        while True:
            self._hit.clear()
            done = await asyncio.gather(*[self._say(hit) for hit in [*self._hits.values()]])
            if not all(done):
                await patience.wait()
            else:
                patience.reset()
                if not self._hits:
                    await self._hit.wait()

    async def _say(self, hit: Hit) -> bool:
        """Whether the log has it."""
        armed = hit.armed
        cause = Cause(
            id=armed.arming,
            at=hit.at,
            symbol=armed.rule.symbol,
            message=hit.message,
            correlation=armed.correlation,
        )
        try:
            await self._alarms.trigger(armed, cause)
        except LogError as error:
            logger.warning("cannot trigger a rule now", rule=armed.rule.rule_id, error=str(error))
            return False
        if self._hits.get(armed.rule.rule_id) is hit:
            del self._hits[armed.rule.rule_id]
        return True

    async def _learn(self, symbol: str) -> None:
        data = await self._values.get(_key(symbol))
        self._recalled.add(symbol)
        if data is None:
            return
        try:
            self._note(self._judge.learn(symbol, CODEC.decode(data, Past)))
        except (msgspec.DecodeError, ArithmeticError) as error:
            logger.warning("passes over the past", symbol=symbol, error=str(error))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            try:
                await self.keep()
            except LogError as error:
                logger.warning("cannot keep the past", error=str(error))


def _key(symbol: str) -> str:
    return f"{EVERYBODY}.{token(f'moves-{symbol}')}"
