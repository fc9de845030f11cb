"""Descriptions and units of fields, as annotations.

    qty: Annotated[Decimal, about("what was asked for", SHARES)]

Decoders ignore them, so they cost nothing. docs/events.md and the OpenAPI document show them.
"""

from msgspec import Meta

SHARES = "shares"
DOLLARS = "dollars"
PER_SHARE = "dollars a share"
PERCENT = "per cent"
SECONDS = "seconds"
UTC_TIME = "UTC"
"""Units of fields."""


def about(meaning: str, unit: str | None = None) -> Meta:
    """The annotation for a field's meaning and its unit."""
    described = meaning if unit is None else f"{meaning} ({unit})"
    return Meta(description=described, extra={"meaning": meaning, "unit": unit})
