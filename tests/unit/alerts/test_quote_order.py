"""Price rules under timestamps that jump: quotes count in their order, at the time they arrive."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from tapewire.events import RuleKind
from tests.unit.alerts.harness import AlertsEnvironment, AlertsProcess, create_rule_request
from tests.unit.alerts.spec import make_quote

pytestmark = pytest.mark.virtual_time

STAMPS = {
    "equal": (0, 0, 0, 0),
    "backward": (0, -60, -120, -3600),
    "one in the future": (0, 31_536_000, 1, 2),
    "a day back and ahead": (0, 86_400, -86_400, 0),
}
"""Seconds, for each of four quotes."""


async def publish(environment: AlertsEnvironment, price: str, stamp: float) -> None:
    quote = make_quote(price)
    await environment.publish_quote(
        msgspec.structs.replace(quote, timestamp=quote.timestamp + timedelta(seconds=stamp))
    )


@pytest.mark.parametrize("stamps", STAMPS.values(), ids=STAMPS)
async def test_a_level_is_passed_whatever_the_timestamps(
    stamps: tuple[int, ...], process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    await publish(environment, "100", 0)
    await process.create_rule(create_rule_request(RuleKind.PRICE_BELOW, price="50"))
    for price, stamp in zip(("150", "90", "40", "99"), stamps, strict=True):
        await publish(environment, price, stamp)
        await asyncio.sleep(1)
    seen = await environment.wait_for_log("an alert", lambda seen: seen.alerts)
    assert [one.message for one in seen.alerts] == ["IBM is at 40, below 50"]


@pytest.mark.parametrize("stamps", STAMPS.values(), ids=STAMPS)
async def test_a_window_holds_the_prices_that_arrived_in_it(
    stamps: tuple[int, ...], process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    """4 % in a minute hit no rule of 5 %, and 4 % more in the same minute do."""
    await publish(environment, "100", 0)
    move = create_rule_request(RuleKind.PERCENT_MOVE, percent="5", window_seconds=60)
    await process.create_rule(move)
    for price, stamp, pause in zip(
        ("96", "92.5", "89", "84"), stamps, (90, 90, 30, 1), strict=True
    ):
        await asyncio.sleep(pause)
        await publish(environment, price, stamp)
    seen = await environment.wait_for_log("an alert", lambda seen: seen.alerts)
    assert [one.message for one in seen.alerts] == ["IBM moved -9.19 % from 92.5 to 84 in 60 s"]
