"""A venue behind QuickFIX: `python acceptor.py FOLDER PORT SPEC CLIENTS`, where QuickFIX is.

The session layer and the validation against FIX44.xml are QuickFIX's. Each of its clients,
`CLIENT1` and so on, has a book of its own (`book.VenueBook`). What happens there is told by JSON
lines on standard input, each answered by one on standard output. With `keep` as a fifth argument
the books are kept in FOLDER, beside the numbers and messages of the engine: a venue that is started
again there goes on where it was killed.
"""

import json
import pickle
import queue
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import quickfix
from book import VenueBook
from random_market import RandomMarket
from venue_orders import EXPIRED, Fields, Order

RANDOM_STEP_SECONDS = 0.02
COMMANDS = (
    "describe", "set_policy", "accept", "reject", "fill", "offer", "correct", "end", "report",
    "decide", "repeat", "repeat_correction", "report_unknown", "set_next_number", "begin_day",
    "start_random", "finish_random",
)  # fmt: skip
READ_TAGS = (11, 38, 40, 41, 44, 54, 55, 59, 77, 99, 790)


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]


class Client:
    """The session of one client and its book. The commands of a test are its methods."""

    def __init__(self, session: Any, file: Path | None) -> None:
        self.book = VenueBook(self.send, utc_now)
        self.logons = 0
        self.says_reset = False
        """Whether the answer to the next logon says that both sides begin with the number 1."""
        self._file = file
        if file is not None and file.exists():
            vars(self.book).update(pickle.loads(file.read_bytes()))  # noqa: S301 - it is our own
        self.market: RandomMarket | None = None
        self._last_correction: Fields = {}
        self._session = session

    def keep(self) -> None:
        """Write the book to its file, if it has one."""
        if self._file is not None:
            stored = {name: value for name, value in vars(self.book).items() if not callable(value)}
            self._file.write_bytes(pickle.dumps(stored))

    def send(self, type_: str, fields: Fields) -> None:
        """Send an application message, now or after the next logon."""
        message = quickfix.Message()
        message.getHeader().setField(quickfix.StringField(8, "FIX.4.4"))
        message.getHeader().setField(quickfix.StringField(35, type_))
        for tag, value in fields.items():
            message.setField(quickfix.StringField(tag, value))
        quickfix.Session.sendToTarget(message, self._session)

    def do(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry out the command `what`. Returns what the venue is like afterwards."""
        assert what in COMMANDS, what
        if "order" in arguments and what != "set_policy":
            arguments["order"] = self.book.orders[arguments["order"]]
        if "fields" in arguments:
            arguments["fields"] = {int(tag): text for tag, text in arguments["fields"].items()}
        getattr(self, what)(**arguments)
        self.keep()
        session = quickfix.Session.lookupSession(self._session)
        return {
            "logons": self.logons,
            "is_logged_on": session.isLoggedOn(),
            **self.book.describe(),
        }

    def describe(self) -> None:
        """Only describe the venue."""

    def set_policy(self, **policy: str) -> None:
        self.book.policy.update(policy)

    def fill(self, order: Order, qty: str, price: str, times: int, fields: Fields) -> None:
        """Execute a part of an order, and report it so many times, with these other fields."""
        report = self.book.execute(order, Decimal(qty), Decimal(price)) | fields
        for _ in range(times):
            self.send("8", report)

    def offer(self, orders: list[str], qty: str, price: str) -> None:
        """Offer shares to orders, which the venue executes as far as it may."""
        known = [self.book.orders[id_] for id_ in orders]
        for report in self.book.offer(known, Decimal(qty), Decimal(price)):
            self.send("8", report)

    def correct(self, order: Order, execution: str, qty: str, price: str) -> None:
        """Correct an execution of an order, or bust it with a `qty` of 0."""
        self._last_correction = self.book.correct(order, execution, Decimal(qty), Decimal(price))
        self.repeat_correction()

    def repeat_correction(self) -> None:
        """Report the last correction."""
        self.send("8", self._last_correction)

    def accept(self, order: Order) -> None:
        self.book.accept(order)

    def reject(self, order: Order, text: str) -> None:
        self.book.reject(order, text)

    def end(self, order: Order, status: str, text: str) -> None:
        """Cancel or expire an order without being asked."""
        self.book.end(order, status, text)

    def report(self, order: Order, exec_type: str) -> None:
        self.book.report(order, exec_type)

    def repeat(self, order: Order, execution: str) -> None:
        """Report an execution once more."""
        self.book.repeat(order, execution)

    def report_unknown(self, qty: str, price: str) -> None:
        """Report the execution of an order that nobody sent."""
        self.book.report_unknown(Decimal(qty), Decimal(price))

    def decide(self, text: str) -> None:
        """Decide on all requests that wait."""
        self.book.decide_all(text)

    def set_next_number(self, number: int) -> None:
        """The number of the next message that the engine sends."""
        quickfix.Session.lookupSession(self._session).setNextSenderMsgSeqNum(number)

    def begin_day(self, *, is_said: bool) -> None:
        """End the trading day: day orders expire, the session ends, and both sides count from 1."""
        for order in self.book.orders.values():
            if order.is_open and order.is_day:
                self.book.end(order, EXPIRED)
        self.says_reset = is_said
        quickfix.Session.lookupSession(self._session).reset()

    def start_random(self, seed: int) -> None:
        self.book.policy.update(cancel="wait", replace="wait")
        self.market = RandomMarket(self.book, self.send, seed)

    def finish_random(self) -> None:
        market, self.market = self.market, None
        self.book.policy.update(cancel="do", replace="do")
        assert market is not None
        market.finish()


class Venue(quickfix.Application):  # type: ignore[misc]
    """The application of the engine.

    The books are used under `lock`, by a thread of its own for what was received: a thread of the
    engine must not wait for one that sends.
    """

    def __init__(self, books: Path | None) -> None:
        super().__init__()
        self._books = books
        self.lock = threading.RLock()
        self.clients: dict[str, Client] = {}
        self._received: queue.SimpleQueue[tuple[Client, str, Fields, bool]] = queue.SimpleQueue()

    def onCreate(self, session: Any) -> None:  # noqa: N802
        name = session.getTargetCompID().getString()
        file = None if self._books is None else self._books / f"{name}.book"
        self.clients[name] = Client(session, file)

    def onLogon(self, session: Any) -> None:  # noqa: N802
        self._client(session).logons += 1

    def onLogout(self, session: Any) -> None:  # noqa: N802
        pass

    def toAdmin(self, message: Any, session: Any) -> None:  # noqa: N802
        client = self._client(session)
        if client.says_reset and value_of(message.getHeader(), 35) == "A":
            client.says_reset = False
            message.setField(quickfix.StringField(141, "Y"))
        self._note_rejection(message, session)

    def toApp(self, message: Any, session: Any) -> None:  # noqa: N802
        self._note_rejection(message, session)

    def fromAdmin(self, message: Any, session: Any) -> None:  # noqa: N802
        self._note_rejection(message, session)

    def fromApp(self, message: Any, session: Any) -> None:  # noqa: N802
        header = message.getHeader()
        fields = {tag: value_of(message, tag) for tag in READ_TAGS if message.isSetField(tag)}
        is_possible_resend = value_of(header, 97) == "Y"
        received = (self._client(session), header.getField(35), fields, is_possible_resend)
        self._received.put(received)

    def work(self) -> None:
        """Let the books take what was received, and things happen in random markets."""
        last_step = time.monotonic()
        while True:
            try:
                client, type_, fields, is_resend = self._received.get(timeout=RANDOM_STEP_SECONDS)
            except queue.Empty:
                pass
            else:
                with self.lock:
                    client.book.receive(type_, fields, is_possible_resend=is_resend)
                    client.keep()
            if time.monotonic() - last_step < RANDOM_STEP_SECONDS:
                continue
            last_step = time.monotonic()
            with self.lock:
                for client in self.clients.values():
                    if client.market is not None:
                        client.market.step()

    def _client(self, session: Any) -> Client:
        return self.clients[session.getTargetCompID().getString()]

    def _note_rejection(self, message: Any, session: Any) -> None:
        """Neither side may have to reject a message of the other."""
        if value_of(message.getHeader(), 35) in ("3", "j"):
            text = f"rejected: {value_of(message, 58)} {value_of(message, 371)}"
            self._client(session).book.faults.append(text)


def value_of(fields: Any, tag: int) -> str:
    return str(fields.getField(tag)) if fields.isSetField(tag) else ""


def settings_text(folder: Path, port: int, spec: str, client_count: int) -> str:
    """The engine's settings. Its day begins far from now, so that no test meets it."""
    day_start = (datetime.now(UTC) + timedelta(hours=12)).strftime("%H:%M:00")
    clients = (f"[SESSION]\nTargetCompID=CLIENT{number}" for number in range(1, client_count + 1))
    return f"""[DEFAULT]
ConnectionType=acceptor
BeginString=FIX.4.4
SenderCompID=VENUE
SocketAcceptPort={port}
SocketReuseAddress=Y
SocketNodelay=Y
StartTime={day_start}
EndTime={day_start}
FileStorePath={folder}/store
FileLogPath={folder}/log
UseDataDictionary=Y
DataDictionary={spec}
ValidateFieldsOutOfOrder=Y
ValidateFieldsHaveValues=Y
ValidateUserDefinedFields=Y
CheckLatency=N
""" + "\n".join(clients)


def main() -> None:
    folder, port, spec = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    config = folder / "acceptor.cfg"
    if not config.exists():
        config.write_text(settings_text(folder, port, spec, int(sys.argv[4])))
    settings = quickfix.SessionSettings(str(config))
    venue = Venue(folder if sys.argv[5:] == ["keep"] else None)
    acceptor = quickfix.SocketAcceptor(
        venue, quickfix.FileStoreFactory(settings), settings, quickfix.FileLogFactory(settings)
    )
    acceptor.start()
    threading.Thread(target=venue.work, daemon=True).start()
    print(json.dumps(list(venue.clients)), flush=True)
    for line in sys.stdin:
        client, what, arguments = json.loads(line)
        with venue.lock:
            described = venue.clients[client].do(what, arguments)
        print(json.dumps(described), flush=True)
    acceptor.stop(True)


if __name__ == "__main__":
    main()
