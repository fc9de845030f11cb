"""Numbers and times as `tapewire top` shows them. Pure."""

from datetime import datetime


def format_bytes(count: float) -> str:
    """`count` with a unit that leaves at most three digits before the point."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def format_rate(rate: float | None) -> str:
    """Events a second; a dash if that is not known yet."""
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def format_since(moment: datetime, now: datetime) -> str:
    """How long ago `moment` was, in the two largest units."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit, small_size, small_unit in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // small_size}{small_unit}"
    return f"{seconds}s"
