"""Which rules a quote hits. Start at `PriceRuleEvaluator.on_quote`.

A price rule is a condition on the present price; a percent-move rule also on the window before it.
An armed rule is hit once, when its condition holds, no matter since when. A rule that is armed
while its condition holds is therefore hit at once. The rules of a symbol are sorted, so a quote
examines only those it hits and the next one. The past prices of a symbol are kept once for all its
rules (`rolling_extremes`).
"""

from bisect import bisect_left, bisect_right, insort
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter

import msgspec

from tapewire.decimals import HUNDRED, WIDE_CONTEXT, format_decimal, percent_change
from tapewire.events import PriceUpdated, RuleKind
from tapewire.values import is_price
from tapewire_services.alerts.domain.armed_rules import ArmedRule
from tapewire_services.alerts.domain.commands import PRICE_RULE_KINDS
from tapewire_services.alerts.domain.rolling_extremes import ExtremesSnapshot, RollingExtremes

SHOWN_PERCENT_PLACES = 2
EPOCH_START = datetime.fromtimestamp(0, UTC)


class PriceRuleHit(msgspec.Struct, frozen=True):
    """A quote that arrived at `at` hit rule `armed`."""

    armed: ArmedRule
    at: datetime
    message: str


class PriceRuleEvaluator:
    """The armed price rules and the past prices. A rule that was hit is removed until it is armed
    again."""

    def __init__(self) -> None:
        self._rules_by_symbol: dict[str, _SymbolRules] = {}
        self._armed_by_id: dict[str, ArmedRule] = {}

    def arm(self, armed: ArmedRule) -> list[PriceRuleHit]:
        """Add a rule, in place of the one with the same id. Return the hits that follow
        immediately."""
        self.disarm(armed.rule.rule_id)
        rule = armed.rule
        if rule.kind not in PRICE_RULE_KINDS or rule.symbol is None:
            return []
        symbol = self._rules_for_symbol(rule.symbol)
        symbol.add_rule(armed)
        self._armed_by_id[rule.rule_id] = armed
        return self._disarm_hit_rules(symbol.evaluate(rule.timestamp))

    def disarm(self, rule_id: str) -> None:
        """Remove a rule."""
        armed = self._armed_by_id.pop(rule_id, None)
        if armed is not None and armed.rule.symbol is not None:
            self._rules_for_symbol(armed.rule.symbol).remove_rule(armed)

    def watches(self, symbol: str) -> bool:
        """Whether a rule for `symbol` is armed."""
        found = self._rules_by_symbol.get(symbol)
        return found is not None and found.has_rules

    def on_quote(self, quote: PriceUpdated, arrived_at: datetime) -> list[PriceRuleHit]:
        """Evaluate the newest quote of a symbol. Return its hits. Its timestamp plays no part, and
        `arrived_at` (UTC) is not before that of the previous quote."""
        if not is_price(quote.price):
            return []
        symbol = self._rules_for_symbol(quote.symbol)
        symbol.add_quote(quote, arrived_at)
        return self._disarm_hit_rules(symbol.evaluate(arrived_at))

    def extremes_of(self, symbol: str) -> RollingExtremes:
        """The past prices of a symbol."""
        return self._rules_for_symbol(symbol).extremes

    def merge_extremes(self, symbol: str, snapshot: ExtremesSnapshot) -> list[PriceRuleHit]:
        """Add past prices of a symbol. Return the hits of its percent-move rules, which are
        evaluated as if they were armed again."""
        self._rules_for_symbol(symbol).merge_extremes(snapshot)
        moves = [
            armed
            for armed in self._armed_by_id.values()
            if armed.rule.symbol == symbol and armed.rule.kind is RuleKind.PERCENT_MOVE
        ]
        hits: list[PriceRuleHit] = []
        for armed in moves:
            if armed.rule.rule_id in self._armed_by_id:  # not hit together with an earlier one
                hits += self.arm(armed)
        return hits

    def forget_prices(self, symbol: str) -> None:
        """Forget the past prices of a symbol and its last quote."""
        rules = self._rules_for_symbol(symbol)
        rules.extremes, rules.last_quote = RollingExtremes(), None

    def disarm_all(self) -> None:
        """Remove all rules; past prices stay."""
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
"""A price level or a percentage, and the id of its rule."""
_threshold_value = itemgetter(0)


class _SymbolRules:
    """The sorted rules of one symbol, and its prices. Hits are rule ids, times and messages."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.above_thresholds: list[RuleThreshold] = []
        self.below_thresholds: list[RuleThreshold] = []
        self.moves_by_window: dict[int, list[RuleThreshold]] = {}
        self.extremes = RollingExtremes()
        self.last_quote: PriceUpdated | None = None
        self._arrived_at = EPOCH_START

    @property
    def has_rules(self) -> bool:
        return bool(self.above_thresholds or self.below_thresholds or self.moves_by_window)

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

    def add_quote(self, quote: PriceUpdated, arrived_at: datetime) -> None:
        """Record a quote. Past prices of a process whose clock is ahead are discarded."""
        self._arrived_at = max(self._arrived_at, arrived_at)
        self.last_quote = quote
        second = int(self._arrived_at.timestamp())
        self.extremes.discard_after(second)
        self.extremes.add_price(second, quote.price)

    def merge_extremes(self, snapshot: ExtremesSnapshot) -> None:
        """Add past prices, without those that are later than the last quote."""
        until = None if self.last_quote is None else int(self._arrived_at.timestamp())
        self.extremes.merge(snapshot, until)

    def evaluate(self, at: datetime) -> list[tuple[str, datetime, str]]:
        """The hits at `at`, or when the last quote arrived if that is later."""
        if self.last_quote is None:
            return []
        price, at = self.last_quote.price, max(at, self._arrived_at)
        hits = self._find_level_hits(price)
        now = int(at.timestamp())
        for window, entries in self.moves_by_window.items():
            hits += self._find_move_hits(now, window, entries, price)
        return [(rule_id, at, f"{self.symbol} {message}") for rule_id, message in hits]

    def _find_level_hits(self, price: Decimal) -> list[tuple[str, str]]:
        message = f"is at {format_decimal(price)}"
        above = self.above_thresholds[
            : bisect_left(self.above_thresholds, price, key=_threshold_value)
        ]
        below = self.below_thresholds[
            bisect_right(self.below_thresholds, price, key=_threshold_value) :
        ]
        return [
            *((rule_id, f"{message}, above {format_decimal(level)}") for level, rule_id in above),
            *((rule_id, f"{message}, below {format_decimal(level)}") for level, rule_id in below),
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
    """The extreme from which `price` is at least `percent` away, up or down; None when there is
    none. Exact, without a division."""
    if _has_moved(WIDE_CONTEXT.subtract(price, low), low, percent):
        return low
    if _has_moved(WIDE_CONTEXT.subtract(high, price), high, percent):
        return high
    return None


def _has_moved(distance: Decimal, origin: Decimal, percent: Decimal) -> bool:
    """Whether `distance` is at least `percent` of the size of `origin`. A price of 0 has no
    percentage."""
    needed = WIDE_CONTEXT.multiply(abs(origin), percent)
    return bool(origin) and WIDE_CONTEXT.multiply(distance, HUNDRED) >= needed


def _describe_move(origin: Decimal, price: Decimal) -> str:
    percent = f"{percent_change(origin, price):+.{SHOWN_PERCENT_PLACES}f} %"
    return f"{percent} from {format_decimal(origin)} to {format_decimal(price)}"
