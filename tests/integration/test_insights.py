"""Insights in real processes: the command line loads files, the counts agree with the event log,
and a load completes while replicas are killed.
"""

import asyncio
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from tapewire.events import Item, ItemAnalysed, Sentiment
from tapewire.log import EVERYBODY, CommandRejected, pattern
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    connect,
    provision,
)
from tapewire.log.jetstream.streams import VIEWS
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import configurations as configuration_contracts
from tapewire.runtime.contracts import insights as item_contracts
from tests.harness import fork_server
from tests.harness.fork_server import ForkedProcess
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.recorded_log import read_events
from tests.harness.repeated_requests import request_until_answered

WAIT_SECONDS = 60.0
ROWS = 2000
USER = "alice"

R = TypeVar("R", bound=msgspec.Struct)


class InsightsHarness:
    """A NATS server, processes of the service, and the connection of the test."""

    def __init__(self, url: str, connection: NatsConnection, folder: Path) -> None:
        self.url = url
        self.log = JetStreamEventLog(connection)
        self.views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
        self.requests = RequestClient(connection)
        self.folder = folder
        self.processes: list[ForkedProcess] = []

    async def start(self) -> ForkedProcess:
        reading, writing = os.pipe()
        with (self.folder / "insights.log").open("ab") as log:
            plain = {k: v for k, v in os.environ.items() if not k.startswith("TAPEWIRE_")}
            process = fork_server.start_service(
                "insights",
                {**plain, "TAPEWIRE_NATS_URL": self.url},
                log.fileno(),
                {"TAPEWIRE_READY_FD": writing},
            )
        os.close(writing)
        self.processes.append(process)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                message = await asyncio.to_thread(os.read, reading, 16)
        finally:
            os.close(reading)
        assert message == b"ready\n", (self.folder / "insights.log").read_text()[-3000:]
        return process

    def kill(self, process: ForkedProcess) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.processes.remove(process)

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            log_end = (self.folder / "insights.log").read_text()[-3000:]
            assert process.wait(timeout=60) == 0, log_end

    async def ask(self, verb: str, request: msgspec.Struct, reply: type[R]) -> R:
        """Repeat the request under one command id until it is answered, as the edge does."""
        return await request_until_answered(self.requests, "insights", verb, request, reply)

    async def metrics(self) -> item_contracts.MetricsReply:
        return await self.ask(
            item_contracts.METRICS, item_contracts.GetMetrics(), item_contracts.MetricsReply
        )

    async def items(self, **what: Any) -> item_contracts.ItemsReply:
        return await self.ask(
            item_contracts.ITEMS, item_contracts.ListItems(**what), item_contracts.ItemsReply
        )

    async def all_items(self) -> list[Item]:
        """Return every item of the event log."""
        found = await read_events(self.log, pattern(owner=EVERYBODY))
        return [one.event.item for one in found if isinstance(one.event, ItemAnalysed)]

    async def command(
        self, *args: str, stdin: bytes = b"", url: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run `tapewire items …`."""
        return await asyncio.to_thread(
            fork_server.run_cli,
            *("items", *args, "--nats", url or self.url),
            environment={**os.environ, "TAPEWIRE_NATS_WAIT": "1" if url else "60"},
            stdin=stdin,
            timeout=WAIT_SECONDS,
        )

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalNatsServer]:
    made = LocalNatsServer(tmp_path, provisioned=True)
    made.start()
    yield made
    made.close()


@pytest.fixture
async def harness(broker: LocalNatsServer, tmp_path: Path) -> AsyncIterator[InsightsHarness]:
    connection = await connect(broker.url, "test")
    await provision(connection)
    made = InsightsHarness(broker.url, connection, tmp_path)
    yield made
    await asyncio.to_thread(made.close)
    await connection.close()


CSV = """\
title,source,tickers,tags,sentiment,score,timestamp
IBM beats estimates and soars,Wire,ibm,Earnings;tech,,,2020-03-02T14:30:00Z
Terrible crash at SPY,Wire,SPY,,,,2020-03-02T14:31:00Z
Stated,Wire,SPY,tech,neutral,0.9,
IBM beats  estimates and soars,Wire,IBM,,,,
high,Wire,,,,NaN,
too high,Wire,,,,2,
short
,Wire,,,,,
"""

RSS = """\
<rss version="2.0"><channel><title>Feed</title>
<item><title>A wonderful day for $IBM</title><link>https://news.example/1</link>
 <category>Tech</category><pubDate>Mon, 02 Mar 2020 14:30:00 GMT</pubDate></item>
<item><title>Odd</title><link>javascript:alert(1)</link></item>
<item><title>Undated</title><pubDate>some day</pubDate></item>
</channel></rss>
"""

LAUGHS = """\
<!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;">]>
<rss version="2.0"><channel><item><title>&c;</title></item></channel></rss>
"""


async def test_files_are_loaded_once_and_their_errors_are_reported(
    harness: InsightsHarness,
) -> None:
    csv, feed = harness.file("a.csv", CSV), harness.file("f.xml", RSS)
    unreachable = await harness.command("load", csv, url="nats://127.0.0.1:9")
    assert (unreachable.returncode, unreachable.stdout) == (3, "")

    await harness.start()
    loaded = await harness.command("load", csv)
    assert loaded.returncode == 1, loaded.stderr
    assert loaded.stdout == "8 rows: 3 added, 1 already there, 4 malformed\n"
    assert sorted(loaded.stderr.splitlines()) == [
        f"{csv}:6: score 'NaN' is no number",
        f"{csv}:7: score must be a number from -1 to 1, not 2",
        f"{csv}:8: 1 cells, the header has 7",
        f"{csv}:9: title must have 1 to 200 characters, not 0: ''",
        "tapewire: 4 of 8 rows were not loaded: 2 by score, 1 by cells, 1 by title",
    ]
    again = await harness.command("load", csv)
    assert again.stdout == "8 rows: 0 added, 4 already there, 4 malformed\n"

    fed = await harness.command("load", feed, "--tag", "rss")
    assert (fed.returncode, fed.stdout) == (
        1,
        "3 rows: 2 added, 0 already there, 1 malformed\n",
    )
    assert (
        f"{feed}:4: note: entry 2 'Odd': its link 'javascript:alert(1)' is javascript:"
        in fed.stderr
    )
    assert f"{feed}:5: entry 3 'Undated': timestamp 'some day' is not like" in fed.stderr
    whole = b"\n" + RSS.replace("some day", "Mon, 02 Mar 2020 14:30:00 JST").encode()
    clean = await harness.command("load", "-", "--tag", "rss", stdin=b"\xef\xbb\xbf" + whole)
    assert (clean.returncode, clean.stdout) == (
        0,
        "3 rows: 1 added, 2 already there, 0 malformed\n",
    )
    piped = await harness.command("load", "-", stdin=b"title,source\nPiped,Wire\nNo \xff,Wire\n")
    assert piped.stdout == "2 rows: 1 added, 0 already there, 1 malformed\n"

    stored = await harness.all_items()
    assert [(one.title, one.sentiment, one.tickers) for one in stored] == [
        ("IBM beats estimates and soars", Sentiment.POSITIVE, ("IBM",)),
        ("Terrible crash at SPY", Sentiment.NEGATIVE, ("SPY",)),
        ("Stated", Sentiment.NEUTRAL, ("SPY",)),
        ("A wonderful day for $IBM", Sentiment.POSITIVE, ("IBM",)),
        ("Odd", Sentiment.NEGATIVE, ()),
        ("Undated", Sentiment.NEUTRAL, ()),
        ("Piped", Sentiment.NEUTRAL, ()),
    ]
    assert stored[2].score == Decimal("0.9")
    metrics = (await harness.metrics()).metrics
    assert (metrics.total, metrics.positive, metrics.neutral, metrics.negative) == (7, 2, 3, 2)
    assert [(one.tag, one.count) for one in metrics.tags] == [
        ("rss", 3), ("tech", 3), ("earnings", 1),
    ]  # fmt: skip
    assert metrics.last_hour == 3


async def test_invalid_files_and_options_print_one_line_and_change_nothing(
    harness: InsightsHarness,
) -> None:
    await harness.start()
    bomb = harness.file("bomb.xml", LAUGHS)
    cut = harness.file("cut.xml", RSS[: RSS.index("alert")])
    head = harness.file("head.csv", "title,mood\nx,y\n")
    for args, expected in (
        (("load", bomb), f"{bomb}: line 1: it declares a DTD, which feeds do not need"),
        (("load", head), f"{head}: line 1: unknown column 'mood'"),
        (("add", "--title", "", "--source", "s"), "title must have 1 to 200 characters"),
        (("add", "--title", "t", "--source", "s", "--score", "NaN"), "score 'NaN' is no number"),
    ):
        ended = await harness.command(*args)
        assert ended.returncode == 2, ended
        assert ended.stderr.startswith(f"tapewire: {expected}"), ended.stderr
        assert ended.stderr.count("\n") == 1
    assert await harness.all_items() == []

    broken = await harness.command("load", cut)
    assert (broken.returncode, broken.stdout.splitlines()[-1:]) == (
        2,
        ["2 rows: 1 added, 0 already there, 1 malformed"],
    )
    assert f"{cut}:4: entry 2: the file ends within it" in broken.stderr
    assert "the feed's end tag is missing" in broken.stderr

    huge = harness.file("huge.csv", f"title,source\n{'x' * 300_000},Wire\n{'y' * 100_000},Wire\n")
    result = await harness.command("load", huge)
    assert result.stdout == "2 rows: 0 added, 0 already there, 2 malformed\n"
    assert len(result.stderr) < 1000


class LooseRequest(msgspec.Struct, kw_only=True, rename="camel"):
    """A request that violates the contract."""

    title: Any = "t"
    source: Any = "s"
    score: Any = msgspec.UNSET
    tickers: Any = msgspec.UNSET
    timestamp: Any = msgspec.UNSET
    mood: Any = msgspec.UNSET


async def test_wrong_types_and_unknown_fields_are_rejected_and_single_items_are_added(
    harness: InsightsHarness,
) -> None:
    await harness.start()
    for bad, path in (
        (LooseRequest(title=7), "title"),
        (LooseRequest(score=[1]), "score"),
        (LooseRequest(tickers="IBM"), "tickers"),
        (LooseRequest(timestamp="yesterday"), "timestamp"),
        (LooseRequest(mood="good"), "mood"),
    ):
        with pytest.raises(CommandRejected) as refused:
            await harness.ask(item_contracts.ADD, bad, item_contracts.ItemReply)
        assert (refused.value.code, refused.value.path) == ("invalid", path)
    assert await harness.all_items() == []

    args = ["add", "--title", "Great, great news", "--source", "me", "--ticker", "ibm"]
    added = await harness.command(*args)
    assert (added.returncode, added.stdout.split()[1:]) == (0, ["positive", "0.8481"])
    again = await harness.command(*args)
    assert again.stdout == added.stdout.rstrip("\n") + "   (already there)\n"
    assert [one.id for one in await harness.all_items()] == [added.stdout.split()[0]]


async def test_configurations_belong_to_their_user(harness: InsightsHarness) -> None:
    await harness.start()
    asking = configuration_contracts.CreateConfiguration(
        user_id=USER, name="Tech", tickers=("ibm",)
    )
    made = (
        await harness.ask(
            configuration_contracts.CREATE, asking, configuration_contracts.ConfigurationReply
        )
    ).configuration
    for title, ticker in (("a", "IBM"), ("b", "SPY")):
        item = item_contracts.NewItem(title=title, source="s", tickers=(ticker,))
        await harness.ask(item_contracts.ADD, item, item_contracts.ItemReply)
    mine = await harness.items(user_id=USER, configuration_id=made.id)
    assert [one.title for one in mine.items] == ["a"]
    foreign = configuration_contracts.GetConfiguration(user_id="bob", configuration_id=made.id)
    for verb, request in (
        (configuration_contracts.GET, foreign),
        (
            configuration_contracts.DELETE,
            configuration_contracts.DeleteConfiguration(user_id="bob", configuration_id=made.id),
        ),
        (
            configuration_contracts.CHANGE,
            configuration_contracts.ChangeConfiguration(
                user_id="bob", configuration_id=made.id, name="x"
            ),
        ),
        (item_contracts.ITEMS, item_contracts.ListItems(user_id="bob", configuration_id=made.id)),
    ):
        with pytest.raises(CommandRejected) as refused:
            await harness.ask(verb, request, configuration_contracts.ConfigurationReply)
        assert refused.value.code == "not_found"
    changing = configuration_contracts.ChangeConfiguration(
        user_id=USER, configuration_id=made.id, tickers=("spy",)
    )
    await harness.ask(
        configuration_contracts.CHANGE, changing, configuration_contracts.ConfigurationReply
    )
    mine = await harness.items(user_id=USER, configuration_id=made.id)
    assert [one.title for one in mine.items] == ["b"]
    deleting = configuration_contracts.DeleteConfiguration(user_id=USER, configuration_id=made.id)
    await harness.ask(
        configuration_contracts.DELETE, deleting, configuration_contracts.ConfigurationReply
    )
    listed = await harness.ask(
        configuration_contracts.LIST,
        configuration_contracts.ListConfigurations(user_id=USER),
        configuration_contracts.ConfigurationsReply,
    )
    assert listed.configurations == []


async def test_a_load_completes_while_replicas_and_the_server_are_killed(
    harness: InsightsHarness, broker: LocalNatsServer
) -> None:
    """Processes are killed in the middle of a batch. Each row is stored once and counted once, the
    items that are polled meanwhile have no gap, and a new process counts the same."""
    replicas = [await harness.start(), await harness.start()]
    moods = ("great win", "terrible loss", "meeting")
    rows = [f"Story {n}: {moods[n % 3]},Wire,T{n % 9},t{n % 30};all\n" for n in range(ROWS)]
    start = await harness.items(limit=1)
    polled: list[Item] = []
    position = (start.as_of, start.epoch)

    async def poll(until: int) -> None:
        nonlocal position
        async with asyncio.timeout(WAIT_SECONDS):
            while len(polled) < until:
                reply = await harness.items(since=position[0], epoch=position[1], limit=200)
                assert not reply.reset
                polled.extend(reply.items)
                position = (reply.as_of, reply.epoch)

    async def another_replica() -> None:
        harness.kill(replicas.pop(0))
        replicas.append(await harness.start())

    async def another_server() -> None:
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)

    # The file is a pipe that is filled gradually: rows are in flight at every kill, at any speed.
    # Rows of an incomplete batch wait in the command, so `poll` waits for fewer rows.
    pipe = harness.folder / "big.csv"
    os.mkfifo(pipe)
    loading = asyncio.create_task(harness.command("load", str(pipe)))
    with await asyncio.to_thread(pipe.open, "w") as file:
        file.write("title,source,tickers,tags\n")
        portion = ROWS // 4
        for n, kill in enumerate((None, another_replica, another_replica, another_server)):
            await asyncio.to_thread(file.writelines, rows[n * portion : (n + 1) * portion])
            await asyncio.to_thread(file.flush)
            if kill is not None:
                await kill()
            await poll((n + 1) * portion - item_contracts.MAX_LOADED_ITEMS)
    await poll(ROWS)
    loaded = await loading
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout == f"{ROWS} rows: {ROWS} added, 0 already there, 0 malformed\n"

    stored = await harness.all_items()
    # Compare by index: pytest needs minutes to explain a difference of thousands of items.
    odd = [n for n, (one, other) in enumerate(zip(polled, stored, strict=False)) if one != other]
    assert (len(polled), odd[:5]) == (len(stored), []), [(polled[n], stored[n]) for n in odd[:2]]
    assert Counter(Counter(one.id for one in stored).values()) == {1: ROWS}
    reply = await harness.metrics()
    assert reply.as_of >= ROWS
    counted = Counter(one.sentiment for one in stored)
    metrics = reply.metrics
    assert (metrics.positive, metrics.negative) == (
        counted[Sentiment.POSITIVE],
        counted[Sentiment.NEGATIVE],
    )
    assert (metrics.total, metrics.tags[0].tag, metrics.tags[0].count) == (ROWS, "all", ROWS)
    for process in replicas:
        harness.kill(process)
    await harness.start()
    after = await harness.metrics()
    assert msgspec.structs.replace(after.metrics, timestamp=metrics.timestamp) == metrics
