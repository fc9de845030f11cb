"""Which rules a quote triggers. Start at `PriceJudge.quote`.

A rule is a condition on the price now (a move: and on the window before now), whenever it came to
hold; armed means: tell once when it holds. So a rule that is armed while its condition holds is
triggered at once. The rules of a symbol lie sorted, so a quote looks only at those it triggers and
at the next one; what the past was is known once a symbol, for all rules (`extremes`).
"""

from bisect import bisect_left, bisect_right, insort
from datetime import datetime
from decimal import Decimal
from operator import itemgetter

import msgspec

from services.alerts.domain.armed import Armed
from services.alerts.domain.commands import PRICES
from services.alerts.domain.extremes import Extremes, Past
from services.alerts.domain.figures import WIDE, spelled
from tapewire.events import PriceUpdated, RuleKind

LEAST, MOST = Decimal("0.00000001"), Decimal(1_000_000_000)
"""Dollars a share; whoever quotes less or more quotes nothing."""

HUNDRED = Decimal(100)
CENT = Decimal("0.01")


class Hit(msgspec.Struct, frozen=True):
    """`armed` is triggered by a quote of `at`."""

    armed: Armed
    at: datetime
    message: str


class PriceJudge:
    """Every armed price rule, and the prices there were. What it hit it knows no more, until it is
    armed again."""

    def __init__(self) -> None:
        self._symbols: dict[str, _Symbol] = {}
        self._armed: dict[str, Armed] = {}

    def arm(self, armed: Armed) -> list[Hit]:
        """Watch for `armed`, in place of what was watched under its id; what it hits at once."""
        self.disarm(armed.rule.rule_id)
        rule = armed.rule
        if rule.kind not in PRICES or rule.symbol is None:
            return []
        symbol = self._symbol(rule.symbol)
        symbol.add(armed)
        self._armed[rule.rule_id] = armed
        return self._hit(symbol.judge(rule.timestamp))

    def disarm(self, rule_id: str) -> None:
        """Watch no more for that rule."""
        armed = self._armed.pop(rule_id, None)
        if armed is not None and armed.rule.symbol is not None:
            self._symbol(armed.rule.symbol).remove(armed)

    def quote(self, quote: PriceUpdated) -> list[Hit]:
        """What the newest quote of a symbol hits."""
        if not (quote.price.is_finite() and LEAST <= quote.price <= MOST):
            return []
        symbol = self._symbol(quote.symbol)
        symbol.quote(quote)
        return self._hit(symbol.judge(quote.timestamp))

    def extremes(self, symbol: str) -> Extremes:
        """The past of a symbol."""
        return self._symbol(symbol).extremes

    def learn(self, symbol: str, past: Past) -> list[Hit]:
        """Know that past of a symbol as well; what that makes its rules on moves hit, each judged
        as when it is armed."""
        self._symbol(symbol).extremes.learn(past)
        moves = [
            armed
            for armed in self._armed.values()
            if armed.rule.symbol == symbol and armed.rule.kind is RuleKind.PERCENT_MOVE
        ]
        hits: list[Hit] = []
        for armed in moves:
            if armed.rule.rule_id in self._armed:  # else it was hit beside another
                hits += self.arm(armed)
        return hits

    def quoted(self) -> dict[str, datetime]:
        """The time of the last quote, by symbol."""
        return {
            name: symbol.last.timestamp
            for name, symbol in self._symbols.items()
            if symbol.last is not None
        }

    def forget_rules(self) -> None:
        """Watch for nothing; the prices there were stay known."""
        for rule_id in list(self._armed):
            self.disarm(rule_id)

    def _symbol(self, name: str) -> "_Symbol":
        found = self._symbols.get(name)
        if found is None:
            found = self._symbols[name] = _Symbol(name)
        return found

    def _hit(self, hits: list[tuple[str, datetime, str]]) -> list[Hit]:
        made = [Hit(self._armed[rule_id], at, message) for rule_id, at, message in hits]
        for rule_id, _, _ in hits:
            self.disarm(rule_id)
        return made


Entry = tuple[Decimal, str]
"""A level or a percentage, and the id of its rule."""
_level = itemgetter(0)


class _Symbol:
    """One symbol's rules, sorted, and its prices. Hits are rule ids, times and messages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.above: list[Entry] = []
        self.below: list[Entry] = []
        self.moves: dict[int, list[Entry]] = {}
        self.extremes = Extremes()
        self.last: PriceUpdated | None = None
        self._at = 0

    def add(self, armed: Armed) -> None:
        insort(*self._entry(armed))

    def remove(self, armed: Armed) -> None:
        entries, entry = self._entry(armed)
        entries.remove(entry)
        window = armed.rule.window_seconds
        if window is not None and not entries:
            del self.moves[window]

    def _entry(self, armed: Armed) -> tuple[list[Entry], Entry]:
        rule = armed.rule
        if rule.kind is RuleKind.PERCENT_MOVE:
            entries = self.moves.setdefault(rule.window_seconds or 0, [])
            return entries, (rule.percent or Decimal(0), rule.rule_id)
        entries = self.above if rule.kind is RuleKind.PRICE_ABOVE else self.below
        return entries, (rule.price or Decimal(0), rule.rule_id)

    def quote(self, quote: PriceUpdated) -> None:
        """Note a quote. One that claims to be older than the last counts as of its time."""
        self._at = max(self._at, int(quote.timestamp.timestamp()))
        self.last = quote
        self.extremes.add(self._at, quote.price)

    def judge(self, at: datetime) -> list[tuple[str, datetime, str]]:
        """What holds at `at`, or at the last quote when that is later."""
        if self.last is None:
            return []
        price, at = self.last.price, max(at, self.last.timestamp)
        hits = self._levels(price)
        now = max(self._at, int(at.timestamp()))
        for window, entries in self.moves.items():
            hits += self._moved(now, window, entries, price)
        return [(rule_id, at, f"{self.name} {message}") for rule_id, message in hits]

    def _levels(self, price: Decimal) -> list[tuple[str, str]]:
        told = f"is at {spelled(price)}"
        above = self.above[: bisect_left(self.above, price, key=_level)]
        below = self.below[bisect_right(self.below, price, key=_level) :]
        return [
            *((rule_id, f"{told}, above {spelled(level)}") for level, rule_id in above),
            *((rule_id, f"{told}, below {spelled(level)}") for level, rule_id in below),
        ]

    def _moved(
        self, now: int, window: int, entries: list[Entry], price: Decimal
    ) -> list[tuple[str, str]]:
        extremes = self.extremes.within(now, window)
        if extremes is None:
            return []
        hits: list[tuple[str, str]] = []
        for percent, rule_id in entries:
            origin = _origin(*extremes, price, percent)
            if origin is None:
                break
            hits.append((rule_id, f"moved {_moved(origin, price)} in {window} s"))
        return hits


def _origin(low: Decimal, high: Decimal, price: Decimal, percent: Decimal) -> Decimal | None:
    """The price that `price` is `percent` away from, up or down; None when it is not. Exact: no
    division."""
    now = WIDE.multiply(price, HUNDRED)
    if now >= WIDE.multiply(low, WIDE.add(HUNDRED, percent)):
        return low
    if now <= WIDE.multiply(high, WIDE.subtract(HUNDRED, percent)):
        return high
    return None


def _moved(origin: Decimal, price: Decimal) -> str:
    share = WIDE.divide(WIDE.multiply(WIDE.subtract(price, origin), HUNDRED), origin)
    return f"{share.quantize(CENT, context=WIDE):+f} % from {spelled(origin)} to {spelled(price)}"
