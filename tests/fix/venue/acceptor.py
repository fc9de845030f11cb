"""A venue behind QuickFIX: `python acceptor.py FOLDER PORT SPEC`, with the interpreter that has it.

The session layer and the validation against FIX44.xml are QuickFIX's. The book is `book.VenueBook`.
It is told what happens by JSON lines on standard input, each answered by one on standard output.
"""

import json
import queue
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import quickfix
from book import Fields, RandomMarket, VenueBook

RANDOM_STEP_SECONDS = 0.02


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]


class Venue(quickfix.Application):  # type: ignore[misc]
    """The application of the engine.

    The book is used under `lock`, by a thread of its own for what was received: a thread of the
    engine must not wait for one that sends.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self.book = VenueBook(self.send, utc_now)
        self.logons = 0
        self._session: Any = None
        self._market: RandomMarket | None = None
        self._received: queue.SimpleQueue[tuple[str, Fields, bool]] = queue.SimpleQueue()

    def work(self) -> None:
        """Let the book take what was received, and things happen at a random venue."""
        last_step = time.monotonic()
        while True:
            try:
                type_, fields, is_possible_resend = self._received.get(timeout=RANDOM_STEP_SECONDS)
            except queue.Empty:
                pass
            else:
                with self.lock:
                    self.book.receive(type_, fields, is_possible_resend=is_possible_resend)
            if time.monotonic() - last_step >= RANDOM_STEP_SECONDS:
                last_step = time.monotonic()
                with self.lock:
                    if self._market is not None:
                        self._market.step()

    # What QuickFIX calls

    def onCreate(self, session: Any) -> None:  # noqa: N802
        self._session = session

    def onLogon(self, _: Any) -> None:  # noqa: N802
        self.logons += 1

    def onLogout(self, _: Any) -> None:  # noqa: N802
        pass

    def toAdmin(self, message: Any, _: Any) -> None:  # noqa: N802
        if value_of(message.getHeader(), 35) == "3":
            self._note_fault(message)

    def toApp(self, message: Any, _: Any) -> None:  # noqa: N802
        if value_of(message.getHeader(), 35) == "j":
            self._note_fault(message)

    def fromAdmin(self, message: Any, _: Any) -> None:  # noqa: N802
        if value_of(message.getHeader(), 35) == "3":
            self._note_fault(message)

    def fromApp(self, message: Any, _: Any) -> None:  # noqa: N802
        header = message.getHeader()
        tags = (11, 38, 40, 41, 44, 54, 55, 59, 77, 99, 790)
        fields: Fields = {tag: message.getField(tag) for tag in tags if message.isSetField(tag)}
        is_possible_resend = header.isSetField(97) and header.getField(97) == "Y"
        self._received.put((header.getField(35), fields, is_possible_resend))

    def send(self, type_: str, fields: Fields) -> None:
        """Send an application message, now or after the next logon."""
        message = quickfix.Message()
        message.getHeader().setField(quickfix.StringField(8, "FIX.4.4"))
        message.getHeader().setField(quickfix.StringField(35, type_))
        for tag, value in fields.items():
            message.setField(quickfix.StringField(tag, value))
        quickfix.Session.sendToTarget(message, self._session)

    def _note_fault(self, message: Any) -> None:
        text = value_of(message, 58) or message.toString().replace("\x01", "|")
        self.book.faults.append(f"rejected: {text} {value_of(message, 371)}")

    # What the test does

    def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command of the test."""
        with self.lock:
            match command.pop("do"):
                case "policy":
                    self.book.policy.update(command)
                case "fill":
                    order = self.book.orders[command["order"]]
                    qty, price = Decimal(command["qty"]), Decimal(command["price"])
                    report = {**self.book.execute(order, qty, price)}
                    report.update({int(tag): text for tag, text in command["fields"].items()})
                    for _ in range(command["times"]):
                        self.send("8", report)
                case "end":
                    self.book.end(self.book.orders[command["order"]], command["status"])
                case "report":
                    order = self.book.orders[command["order"]]
                    changes = {int(tag): text for tag, text in command["fields"].items()}
                    self.book.report(order, command["exec_type"], changes)
                case "send":
                    fields = {int(tag): text for tag, text in command["fields"].items()}
                    self.send(command["type"], fields)
                case "decide":
                    self.book.decide_all()
                case "numbers":
                    session = quickfix.Session.lookupSession(self._session)
                    session.setNextSenderMsgSeqNum(command["outgoing"])
                case "random":
                    self.book.policy.update(cancel="wait", replace="wait")
                    self._market = RandomMarket(self.book, self.send, command["seed"])
                case "finish":
                    market, self._market = self._market, None
                    self.book.policy.update(cancel="do", replace="do")
                    if market is not None:
                        market.finish()
            return self.describe()

    def describe(self) -> dict[str, Any]:
        session = quickfix.Session.lookupSession(self._session)
        return {
            "logons": self.logons,
            "is_logged_on": session.isLoggedOn(),
            "expected": session.getExpectedTargetNum(),
            "faults": self.book.faults,
            "received": self.book.received,
            "waiting": [message[11] for _, message in self.book.waiting],
            "orders": {
                id_: {
                    "ids": order.ids,
                    "venue_id": order.venue_id,
                    "status": order.status,
                    "symbol": order.symbol,
                    "side": order.side,
                    "qty": str(order.qty),
                    "price": str(order.price),
                    "stop": str(order.stop),
                    "cum": str(order.cum),
                    "value": str(order.value),
                    "executions": order.executions,
                }
                for id_, order in self.book.orders.items()
            },
        }


def value_of(fields: Any, tag: int) -> str:
    return str(fields.getField(tag)) if fields.isSetField(tag) else ""


def settings_text(folder: Path, port: int, spec: str) -> str:
    """The engine's settings. Its day begins far from now, so that no test meets it."""
    day_start = (datetime.now(UTC) + timedelta(hours=12)).strftime("%H:%M:00")
    return f"""[DEFAULT]
ConnectionType=acceptor
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
[SESSION]
BeginString=FIX.4.4
SenderCompID=VENUE
TargetCompID=TAPEWIRE
"""


def main() -> None:
    folder, port, spec = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    config = folder / "acceptor.cfg"
    config.write_text(settings_text(folder, port, spec))
    settings = quickfix.SessionSettings(str(config))
    venue = Venue()
    acceptor = quickfix.SocketAcceptor(
        venue, quickfix.FileStoreFactory(settings), settings, quickfix.FileLogFactory(settings)
    )
    acceptor.start()
    threading.Thread(target=venue.work, daemon=True).start()
    print(json.dumps(venue.describe()), flush=True)
    for line in sys.stdin:
        print(json.dumps(venue.do(json.loads(line))), flush=True)
    acceptor.stop(True)


if __name__ == "__main__":
    main()
