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

from tapewire.decimals import WIDE_CONTEXT, format_decimal
from tapewire.events import PriceUpdated, RuleKind
from tapewire_services.alerts.domain.armed_rules import ArmedRule
from tapewire_services.alerts.domain.commands import PRICE_RULE_KINDS
from tapewire_services.alerts.domain.rolling_extremes import ExtremesSnapshot, RollingExtremes

MIN_PRICE, MAX_PRICE = Decimal("0.00000001"), Decimal(1_000_000_000)
"""Dollars a share; whoever quotes less or more quotes nothing."""

HUNDRED = Decimal(100)
PERCENT_QUANTUM = Decimal("0.01")


class PriceRuleHit(msgspec.Struct, frozen=True):
    """`armed` is triggered by a quote of `at`."""

    armed: ArmedRule
    at: datetime
    message: str


class PriceRuleEvaluator:
    """Every armed price rule, and the prices there were. What it hit it knows no more, until it is
    armed again."""

    def __init__(self) -> None:
        self._rules_by_symbol: dict[str, _SymbolRules] = {}
        self._armed_by_id: dict[str, ArmedRule] = {}

    def arm(self, armed: ArmedRule) -> list[PriceRuleHit]:
        """Watch for `armed`, in place of what was watched under its id; what it hits at once."""
        self.disarm(armed.rule.rule_id)
        rule = armed.rule
        if rule.kind not in PRICE_RULE_KINDS or rule.symbol is None:
            return []
        symbol = self._rules_for_symbol(rule.symbol)
        symbol.add_rule(armed)
        self._armed_by_id[rule.rule_id] = armed
        return self._disarm_hit_rules(symbol.evaluate(rule.timestamp))

    def disarm(self, rule_id: str) -> None:
        """Watch no more for that rule."""
        armed = self._armed_by_id.pop(rule_id, None)
        if armed is not None and armed.rule.symbol is not None:
            self._rules_for_symbol(armed.rule.symbol).remove_rule(armed)

    def on_quote(self, quote: PriceUpdated) -> list[PriceRuleHit]:
        """What the newest quote of a symbol hits."""
        if not (quote.price.is_finite() and MIN_PRICE <= quote.price <= MAX_PRICE):
            return []
        symbol = self._rules_for_symbol(quote.symbol)
        symbol.add_quote(quote)
        return self._disarm_hit_rules(symbol.evaluate(quote.timestamp))

    def extremes_of(self, symbol: str) -> RollingExtremes:
        """The past of a symbol."""
        return self._rules_for_symbol(symbol).extremes

    def merge_extremes(self, symbol: str, snapshot: ExtremesSnapshot) -> list[PriceRuleHit]:
        """Know that past of a symbol as well; what that makes its rules on moves hit, each judged
        as when it is armed."""
        self._rules_for_symbol(symbol).extremes.merge(snapshot)
        moves = [
            armed
            for armed in self._armed_by_id.values()
            if armed.rule.symbol == symbol and armed.rule.kind is RuleKind.PERCENT_MOVE
        ]
        hits: list[PriceRuleHit] = []
        for armed in moves:
            if armed.rule.rule_id in self._armed_by_id:  # else it was hit beside another
                hits += self.arm(armed)
        return hits

    def last_quote_times(self) -> dict[str, datetime]:
        """The time of the last quote, by symbol."""
        return {
            name: symbol.last_quote.timestamp
            for name, symbol in self._rules_by_symbol.items()
            if symbol.last_quote is not None
        }

    def disarm_all(self) -> None:
        """Watch for nothing; the prices there were stay known."""
        for rule_id in list(self._armed_by_id):
            self.disarm(rule_id)

    def _rules_for_symbol(self, symbol: str) -> "_SymbolRules":
        found = self._rules_by_symbol.get(symbol)
        if found is None:
            found = self._rules_by_symbol[symbol] = _SymbolRules(symbol)
        return found

    def _disarm_hit_rules(self, hits: list[tuple[str, datetime, str]]) -> list[PriceRuleHit]:
        made = [
            PriceRuleHit(self._armed_by_id[rule_id], at, message) for rule_id, at, message in hits
        ]
        for rule_id, _, _ in hits:
            self.disarm(rule_id)
        return made


RuleThreshold = tuple[Decimal, str]
"""A level or a percentage, and the id of its rule."""
_threshold_value = itemgetter(0)


class _SymbolRules:
    """One symbol's rules, sorted, and its prices. Hits are rule ids, times and messages."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.above_thresholds: list[RuleThreshold] = []
        self.below_thresholds: list[RuleThreshold] = []
        self.moves_by_window: dict[int, list[RuleThreshold]] = {}
        self.extremes = RollingExtremes()
        self.last_quote: PriceUpdated | None = None
        self._last_quote_second = 0

    def add_rule(self, armed: ArmedRule) -> None:
        insort(*self._threshold_of(armed))

    def remove_rule(self, armed: ArmedRule) -> None:
        entries, entry = self._threshold_of(armed)
        entries.remove(entry)
        window = armed.rule.window_seconds
        if window is not None and not entries:
            del self.moves_by_window[window]

    def _threshold_of(self, armed: ArmedRule) -> tuple[list[RuleThreshold], RuleThreshold]:
        rule = armed.rule
        if rule.kind is RuleKind.PERCENT_MOVE:
            entries = self.moves_by_window.setdefault(rule.window_seconds or 0, [])
            return entries, (rule.percent or Decimal(0), rule.rule_id)
        entries = (
            self.above_thresholds if rule.kind is RuleKind.PRICE_ABOVE else self.below_thresholds
        )
        return entries, (rule.price or Decimal(0), rule.rule_id)

    def add_quote(self, quote: PriceUpdated) -> None:
        """Note a quote. One that claims to be older than the last counts as of its time."""
        self._last_quote_second = max(self._last_quote_second, int(quote.timestamp.timestamp()))
        self.last_quote = quote
        self.extremes.add_price(self._last_quote_second, quote.price)

    def evaluate(self, at: datetime) -> list[tuple[str, datetime, str]]:
        """What holds at `at`, or at the last quote when that is later."""
        if self.last_quote is None:
            return []
        price, at = self.last_quote.price, max(at, self.last_quote.timestamp)
        hits = self._find_level_hits(price)
        now = max(self._last_quote_second, int(at.timestamp()))
        for window, entries in self.moves_by_window.items():
            hits += self._find_move_hits(now, window, entries, price)
        return [(rule_id, at, f"{self.symbol} {message}") for rule_id, message in hits]

    def _find_level_hits(self, price: Decimal) -> list[tuple[str, str]]:
        told = f"is at {format_decimal(price)}"
        above = self.above_thresholds[
            : bisect_left(self.above_thresholds, price, key=_threshold_value)
        ]
        below = self.below_thresholds[
            bisect_right(self.below_thresholds, price, key=_threshold_value) :
        ]
        return [
            *((rule_id, f"{told}, above {format_decimal(level)}") for level, rule_id in above),
            *((rule_id, f"{told}, below {format_decimal(level)}") for level, rule_id in below),
        ]

    def _find_move_hits(
        self, second: int, window_seconds: int, entries: list[RuleThreshold], price: Decimal
    ) -> list[tuple[str, str]]:
        extremes = self.extremes.low_high_within(second, window_seconds)
        if extremes is None:
            return []
        hits: list[tuple[str, str]] = []
        for percent, rule_id in entries:
            origin = _find_move_origin(*extremes, price, percent)
            if origin is None:
                break
            hits.append((rule_id, f"moved {_describe_move(origin, price)} in {window_seconds} s"))
        return hits


def _find_move_origin(
    low: Decimal, high: Decimal, price: Decimal, percent: Decimal
) -> Decimal | None:
    """The price that `price` is `percent` away from, up or down; None when it is not. Exact: no
    division."""
    now = WIDE_CONTEXT.multiply(price, HUNDRED)
    if now >= WIDE_CONTEXT.multiply(low, WIDE_CONTEXT.add(HUNDRED, percent)):
        return low
    if now <= WIDE_CONTEXT.multiply(high, WIDE_CONTEXT.subtract(HUNDRED, percent)):
        return high
    return None


def _describe_move(origin: Decimal, price: Decimal) -> str:
    share = WIDE_CONTEXT.divide(
        WIDE_CONTEXT.multiply(WIDE_CONTEXT.subtract(price, origin), HUNDRED), origin
    )
    return f"{share.quantize(PERCENT_QUANTUM, context=WIDE_CONTEXT):+f} % from {format_decimal(origin)} to {format_decimal(price)}"
