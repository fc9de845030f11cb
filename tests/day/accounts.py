"""The accounts of the day's users, against what its trades and its last quotes say."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from tapewire.events import Side, TradeExecuted
from tapewire.log import RecordedEvent
from tapewire.runtime.contracts.positions import AccountReply

CENT = Fraction(1, 100)


def find_wrong_accounts(
    events: Sequence[RecordedEvent],
    accounts: Mapping[str, AccountReply],
    last_prices: Mapping[str, Decimal],
) -> list[str]:
    """Find accounts whose cash, fees, equity or exposure is not that of the user's trades: cash and
    fees exactly, the others to the cent."""
    received: defaultdict[str, Fraction] = defaultdict(Fraction)
    fees: defaultdict[str, Fraction] = defaultdict(Fraction)
    held: defaultdict[str, defaultdict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for recorded in events:
        event, user = recorded.event, recorded.event_subject.owner
        if isinstance(event, TradeExecuted):
            qty = Fraction(event.qty) * (1 if event.side is Side.BUY else -1)
            held[user][event.symbol] += qty
            received[user] -= qty * Fraction(event.price) + Fraction(event.fee)
            fees[user] += Fraction(event.fee)
    wrong = [f"{user} has no account" for user in held.keys() - accounts.keys()]
    for user, account in accounts.items():
        begin = Fraction(account.starting_balance)
        cash, paid = begin + received[user], fees[user]
        if Fraction(account.cash) != cash or Fraction(account.fees or 0) != paid:
            wrong.append(f"{user}: {account}, not {float(cash)} of cash and {float(paid)} of fees")
        values = [qty * Fraction(last_prices[symbol]) for symbol, qty in held[user].items() if qty]
        pairs = (
            (account.equity, cash + sum(values)),
            (account.net_exposure, sum(values, Fraction(0))),
            (account.gross_exposure, sum(map(abs, values), Fraction(0))),
            (account.realized_pnl + account.unrealized_pnl, cash + sum(values) - begin),
        )
        if any(abs(Fraction(found) - expected) >= CENT / 2 for found, expected in pairs):
            wrong.append(f"{user}: {account}, not {[float(expected) for _, expected in pairs]}")
    return wrong
