"""The trades of a position in some 40 bytes each, for the rare correction of one of them."""

from collections.abc import Iterator


class TradeLines:
    """Trades in whole numbers, in the order in which they were added."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = bytearray()

    def add(self, trade_id: str, qty: int, price: int, fee: int) -> None:
        """Add a trade."""
        self._lines += _to_line(trade_id, qty, price, fee)

    def replace(self, trade_id: str, qty: int, price: int, fee: int) -> bool:
        """Replace the trade `trade_id`; with a `qty` of 0, it no longer counts. Returns False if it
        was never added."""
        start = self._lines.rfind(b"\n%d," % hash(trade_id))
        if start < 0:
            return False
        end = self._lines.find(b"\n", start + 1)
        end = len(self._lines) if end < 0 else end
        self._lines[start:end] = _to_line(trade_id, qty, price, fee)
        return True

    def add_split(self, shares: int, for_shares: int) -> None:
        """Add a split."""
        self._lines += b"\n:%d,%d" % (shares, for_shares)

    def lines(self) -> Iterator[tuple[int, ...]]:
        """Quantity, price and fee of each trade that counts, and the ratio of each split."""
        for line in self._lines.split():
            if line.startswith(b":"):
                shares, for_shares = map(int, line[1:].split(b","))
                yield shares, for_shares
                continue
            _, qty, price, fee = map(int, line.split(b","))
            if qty:
                yield qty, price, fee


def _to_line(trade_id: str, qty: int, price: int, fee: int) -> bytes:
    return b"\n%d,%d,%d,%d" % (hash(trade_id), qty, price, fee)
