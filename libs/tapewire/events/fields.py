"""What fields mean, said beside them.

    qty: Annotated[Decimal, about("what was asked for", SHARES)]

Decoders pass over it, so it costs nothing; docs/events.md and the OpenAPI document are made of it.
"""

from msgspec import Meta

SHARES = "shares"
DOLLARS = "dollars"
PER_SHARE = "dollars a share"
PERCENT = "per cent"
SECONDS = "seconds"
UTC_TIME = "UTC"
"""Units."""


def about(meaning: str, unit: str | None = None) -> Meta:
    """The annotation that says what a field means, and in which unit it is."""
    described = meaning if unit is None else f"{meaning} ({unit})"
    return Meta(description=described, extra={"meaning": meaning, "unit": unit})
