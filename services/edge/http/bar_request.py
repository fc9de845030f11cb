"""What a request asks for of bars, checked: a symbol and an interval."""

from tapewire.runtime.contracts.bars import INTERVAL_SECONDS, BarInterval
from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.stream_request import parse_symbol
from tapewire_services.edge.ingest.bar_feed import BarSeries


def parse_bar_interval(text: str, path: str) -> BarInterval:
    """Raises HttpError (422)."""
    for interval in INTERVAL_SECONDS:
        if text.strip() == interval:
            return interval
    known = ", ".join(INTERVAL_SECONDS)
    raise HttpError(422, f"there are the intervals {known}", path=path, value=text[:64])


def parse_bar_series(text: str, path: str) -> BarSeries:
    """The series that a topic names: ``IBM:1m``. Raises HttpError (422)."""
    symbol, _, interval = text.rpartition(":")
    if not symbol:
        message = "bars need a symbol and an interval: bars:IBM:1m"
        raise HttpError(422, message, path=path, value=f"bars:{text}"[:64])
    return BarSeries(parse_symbol(path, symbol), parse_bar_interval(interval, path))
