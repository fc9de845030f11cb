"""When a day order expires. Pure."""

from datetime import UTC, datetime, time, timedelta

MIDNIGHT = time(0)


def end_of_day(moment: datetime, day_end: time = MIDNIGHT) -> datetime:
    """The end of the trading day that `moment` is in. Days end at `day_end`, UTC; an order that is
    placed then belongs to the next day."""
    end = datetime.combine(moment.astimezone(UTC).date(), day_end, UTC)
    return end if moment < end else end + timedelta(days=1)
