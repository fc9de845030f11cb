"""Which quotes the server calls stale: nothing has confirmed them for a while.

`price:stale` says so once. The next `price:update` of the symbol ends it, and on streams of
positions the next `position:update` whose position is not stale. The first prices of a connection
are all of them, each with `stale`.
"""

from typing import Any


class StaleSymbols:
    """Collects the symbols from the events of a stream, in any API family."""

    def __init__(self) -> None:
        self._symbols: set[str] = set()

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols whose last quote is stale."""
        return frozenset(self._symbols)

    def receive_event(self, event_type: str, data: Any) -> None:
        """Note an event."""
        name = event_type.lower().replace("_", ":")
        if not isinstance(data, dict):
            return
        if name == "price:stale":
            self._note({**data, "stale": True})
        elif name == "price:update":
            if data.get("initializing"):
                self._symbols.clear()
            self._note_all(data.get("prices", [data]))
        elif name == "position:update":
            self._note_all(data.get("positions"))

    def _note_all(self, quotes: Any) -> None:
        for quote in quotes if isinstance(quotes, list) else ():
            self._note(quote)

    def _note(self, quote: Any) -> None:
        symbol = quote.get("symbol") if isinstance(quote, dict) else None
        if not isinstance(symbol, str):
            return
        if quote.get("stale"):
            self._symbols.add(symbol)
        else:
            self._symbols.discard(symbol)
