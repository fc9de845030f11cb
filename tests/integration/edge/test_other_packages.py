"""Event types of other packages at a running edge; broken packages prevent its start.

Each test writes its packages to its own folder. The producer runs in a separate process, with
another version of the package where the test needs one.
"""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness.distributions import install_distribution
from tests.harness.edge import SETTINGS, Harness
from tests.harness.publishers import order_placed
from tests.harness.sse import Frame

V1 = """
from decimal import Decimal
from tapewire import Delivery, Event, event

@event("loan.made", domain="loans", sse="loan:made", streams=("trading", "orders"))
class LoanMade(Event, frozen=True, kw_only=True):
    loan_id: str
    sum: str

@event("loan.noted", domain="loans")
class LoanNoted(Event, frozen=True, kw_only=True):
    loan_id: str

@event("fx.rate", sse="fx:rate", delivery=Delivery.NEWEST_WINS)
class Rate(Event, frozen=True, kw_only=True):
    pair: str
    rate: Decimal
"""
"""The first version of the package."""

V2 = (
    V1.replace('event("loan.made", domain', 'event("loan.made", version=2, domain')
    .replace("    sum: str", "    amount: Decimal\n    currency: str")
    .replace("import Delivery, Event, event", "import Delivery, Event, event, upcast")
    + """
@upcast("loan.made", version=1)
def _named(fields):
    currency, _, amount = fields.pop("sum").partition(" ")
    return {**fields, "amount": Decimal(amount), "currency": currency}
"""
)
"""The second version, which splits `sum` ("USD 25.00") into an amount and a currency."""


def package(folder: Path, source: str, name: str = "loans") -> dict[str, str]:
    """Write a package with `source`, and return the settings that name it."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    return {"TAPEWIRE_EVENT_PACKAGES": name, "PYTHONPATH": str(folder)}


def installed(folder: Path, source: str, name: str = "loans") -> dict[str, str]:
    """Write the package as pip installs it, with an entry point, and return the settings."""
    package(folder, source, name)
    install_distribution(folder, f"{name}-events", {"tapewire.events": {name: name}})
    return {"PYTHONPATH": str(folder)}


def produce(harness: Harness, folder: Path, calls: str) -> None:
    """Run `calls`, which use `client`, in a separate producer with the package in `folder`."""
    program = (
        "import asyncio, tapewire\nfrom decimal import Decimal\nfrom loans import *\n"
        "async def main():\n"
        f"    async with tapewire.connect({harness.broker.url!r}, 'lender') as client:\n"
        + textwrap.indent(textwrap.dedent(calls), " " * 8)
        + "\nasyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


async def test_an_event_type_of_another_package_is_delivered_and_resumed(
    isolated_harness: Harness, tmp_path: Path
) -> None:
    edge = isolated_harness.start_edge(**installed(tmp_path / "v1", V1))
    cookie = await edge.sign_in("alice")
    stream = await edge.open_stream("/api/stream/trading", cookie)
    others = await edge.open_stream("/api/stream/trading", await edge.sign_in("bob"))

    produce(
        isolated_harness,
        tmp_path / "v1",
        """
        for n in range(3):
            loan = LoanMade(loan_id=str(n), sum=f"USD {n}")
            await client.publish(loan, owner="alice", entity=str(n))
        await client.publish(LoanNoted(loan_id="9"), owner="alice", entity="9")
        await client.strategy_started(user="bob", strategy_id="s")
        """,
    )
    first = await stream.read_until("loan:made")
    assert first.data == {"loanId": "0", "sum": "USD 0"}
    await stream.close()

    resumed = await edge.open_stream("/api/stream/trading", cookie, last_event_id=first.id)
    again = [await resumed.read_until("loan:made") for _ in range(2)]
    assert [frame.data["loanId"] for frame in again] == ["1", "2"]
    assert [frame.sequence for frame in again] == [first.sequence + 1, first.sequence + 2]
    assert [frame.event for frame in resumed.frames[2:]] == ["loan:made", "loan:made"]
    await resumed.close()

    # The type's second stream shows the events too. Bob's stream does not.
    orders = await edge.open_stream("/api/stream/orders", cookie, last_event_id=first.id)
    assert (await orders.read_until("loan:made")).id == again[0].id
    await orders.close()
    assert "loan:made" not in [frame.event for frame in others.frames]
    await others.close()


async def test_newest_wins_values_are_conflated_and_have_no_id(
    isolated_harness: Harness, tmp_path: Path
) -> None:
    edge = isolated_harness.start_edge(**package(tmp_path / "v1", V1))
    folder = tmp_path / "v1"
    produce(
        isolated_harness,
        folder,
        """
        for rate in ("1.05", "1.06", "1.07"):
            await client.put(Rate(pair="EUR/USD", rate=Decimal(rate)), owner="alice", entity="EUR")
        await client.put(Rate(pair="CHF/USD", rate=Decimal(2)), owner="bob", entity="CHF")
        everybody = Rate(pair="GBP/USD", rate=Decimal("1.3"))
        await client.put(everybody, owner=tapewire.EVERYBODY, entity="GBP")
        """,
    )
    cookie = await edge.sign_in("alice")
    async with await edge.open_stream("/api/stream/trading", cookie) as before:
        await before.read_until(
            "the edge has heard the newest",
            lambda f: f.event == "fx:rate" and str(f.data["rate"]) == "1.07",
        )
    stream = await edge.open_stream("/api/stream/trading", cookie)
    await stream.read_until("order:update")
    seen: dict[str, list[str]] = {}

    def check_frame(frame: Frame) -> bool:
        if frame.event == "fx:rate":
            assert frame.id is None
            seen.setdefault(frame.data["pair"], []).append(str(frame.data["rate"]))
        return len(seen) == 2

    await stream.read_until("the rates of alice and of everybody", check_frame)
    # Only the newest values are sent, not the earlier ones.
    assert seen == {"EUR/USD": ["1.07"], "GBP/USD": ["1.3"]}

    began = time.monotonic()
    produce(
        isolated_harness,
        folder,
        """
        for n in range(200):
            await client.put(Rate(pair="EUR/USD", rate=Decimal(n)), owner="alice", entity="EUR")
        """,
    )
    await stream.read_until(
        "the newest", lambda frame: check_frame(frame) and seen["EUR/USD"][-1] == "199"
    )
    took = time.monotonic() - began
    assert len(seen["EUR/USD"]) <= took * 10 + 2, f"{len(seen['EUR/USD'])} in {took:.2f} s"
    assert list(seen) == ["EUR/USD", "GBP/USD"]
    await stream.close()


async def test_old_and_new_versions_are_shown_as_the_current_version(
    isolated_harness: Harness, tmp_path: Path
) -> None:
    """Stored events keep their version, and a producer that was not updated still writes the old
    one. Clients see only the current version."""
    package(tmp_path / "v1", V1)
    edge = isolated_harness.start_edge(**package(tmp_path / "v2", V2))
    cookie = await edge.sign_in("alice")
    stream = await edge.open_stream("/api/stream/trading", cookie)
    old = """
        made = LoanMade(loan_id="old", sum="EUR 25.00")
        await client.publish(made, owner="alice", entity="1")
        """
    new = """
        made = LoanMade(loan_id="new", amount=Decimal("7.50"), currency="USD")
        await client.publish(made, owner="alice", entity="1")
        """
    for folder, calls in (("v1", old), ("v2", new), ("v1", old)):
        produce(isolated_harness, tmp_path / folder, calls)

    frames = [await stream.read_until("loan:made") for _ in range(3)]
    was = {"loanId": "old", "amount": 25, "currency": "EUR"}
    assert [frame.data for frame in frames] == [
        was,
        {"loanId": "new", "amount": 7.5, "currency": "USD"},
        was,
    ]
    async with isolated_harness.journal() as journal:
        stored = await journal.read("ev.alice.loans.>")
    assert [one.tag for one in stored] == ["loan.made.v1", "loan.made.v2", "loan.made.v1"]
    assert stored[0].data == b'{"loanId":"old","sum":"EUR 25.00"}'

    replayed = await edge.open_stream(
        "/api/stream/trading", cookie, last_event_id=f"{str(frames[0].id).partition('-')[0]}-0"
    )
    again = [await replayed.read_until("loan:made") for _ in range(3)]
    assert [frame.raw for frame in again] == [frame.raw for frame in frames]
    await replayed.close()
    await stream.close()


async def test_an_edge_without_the_package_skips_its_events(
    isolated_harness: Harness, tmp_path: Path
) -> None:
    """An edge that does not know a type does not show its events, and continues."""
    package(tmp_path / "v1", V1)
    edge = isolated_harness.start_edge()
    stream = await edge.open_stream("/api/stream/trading", await edge.sign_in("alice"))
    produce(
        isolated_harness,
        tmp_path / "v1",
        'await client.publish(LoanMade(loan_id="1", sum="1"), owner="alice", entity="1")',
    )
    async with isolated_harness.journal() as journal:
        assert [one.tag for one in await journal.read("ev.alice.>")] == ["loan.made.v1"]
        await journal.append("alice", order_placed("o-1"))
    frame = await stream.read_until(
        "the order", lambda f: f.event == "order:update" and f.data.get("orderId") == "o-1"
    )
    assert "loan:made" not in [one.event for one in stream.frames]
    assert frame.sequence == 2
    await stream.close()


def refused(settings: dict[str, str], *command: str) -> str:
    """Return the single error line of a failed start. The failure does not depend on NATS."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")}
    done = subprocess.run(
        [sys.executable, *command],
        env={**plain, **SETTINGS, **settings, "TAPEWIRE_NATS_URL": "nats://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return line


SERVICES = [("-m", "tapewire_services.edge"), ("-m", "tapewire.cli", "provision")]


@pytest.mark.parametrize("command", SERVICES)
def test_a_missing_package_prevents_the_start(command: Any, tmp_path: Path) -> None:
    line = refused({"TAPEWIRE_EVENT_PACKAGES": "lones", "PYTHONPATH": str(tmp_path)}, *command)
    assert "the event types of 'lones', named by TAPEWIRE_EVENT_PACKAGES, cannot be loaded" in line
    assert "ModuleNotFoundError: No module named 'lones'" in line


BROKEN = [
    ("raise RuntimeError('half\\nway')", "RuntimeError: half way"),
    ("def", "SyntaxError"),
    (V1.replace('domain="loans"', 'domain="orders"'), "'orders' belongs to the package 'tapewire'"),
    (V1.replace("loan.made", "order.placed"), "'order.placed.v1' is taken"),
    (V1.replace("LoanMade(Event", "LoanMade(object").replace(", frozen=True, kw_only=True", ""),
     "no subclass of tapewire.Event"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "why"), BROKEN)
def test_a_broken_package_prevents_the_start(tmp_path: Path, source: Any, why: str) -> None:
    line = refused(installed(tmp_path, source), "-m", "tapewire_services.prices")
    assert "'loans', named by the distribution loans-events (entry point 'loans'" in line
    assert why in line


def test_conflicting_packages_prevent_the_start(tmp_path: Path) -> None:
    installed(tmp_path, V1)
    line = refused(installed(tmp_path, V1, "lending"), "-m", "tapewire_services.prices")
    assert "'loans', named by" in line
    assert "CatalogueClash: 'loan.made.v1' is taken" in line


async def test_an_unknown_stream_name_prevents_the_start_of_the_edge(
    isolated_harness: Harness, tmp_path: Path
) -> None:
    settings = package(tmp_path, V1.replace('"trading", "orders"', '"loans",'))
    with pytest.raises(AssertionError, match="did not start") as caught:
        isolated_harness.start_edge(**settings)
    wanted = "names the stream 'loans'; it can be on: orders, positions, trading"
    assert wanted in str(caught.value)
