"""The symbols that a client asks for. Pure."""

from collections.abc import Callable

from tapewire.values import resolve_symbol


class RequestedSymbols:
    """The quotes that `symbols` mean, as a container of their names.

    A symbol means the quote of exactly this name. While there is none, it means the one of its name
    in upper case. `is_quoted` says whether there is a quote of a name.
    """

    __slots__ = ("_by_upper_name", "_is_quoted", "_symbols")

    def __init__(self, symbols: frozenset[str], is_quoted: Callable[[str], bool]) -> None:
        self._symbols = symbols
        self._is_quoted = is_quoted
        self._by_upper_name: dict[str, list[str]] = {}
        for symbol in symbols:
            if symbol.upper() != symbol:
                self._by_upper_name.setdefault(symbol.upper(), []).append(symbol)

    def __contains__(self, name: object) -> bool:
        if name in self._symbols:
            return True
        meant_by = self._by_upper_name.get(str(name), ())
        return any(not self._is_quoted(symbol) for symbol in meant_by)

    def names(self) -> list[str]:
        """The names that the symbols mean now, sorted."""
        return sorted({resolve_symbol(symbol, self._is_quoted) for symbol in self._symbols})

    def find_unknown(self) -> list[str]:
        """The symbols that have no quote under either name, sorted."""
        return sorted(
            symbol
            for symbol in self._symbols
            if not self._is_quoted(resolve_symbol(symbol, self._is_quoted))
        )
