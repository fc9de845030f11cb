"""The rules themselves: a small house that keeps them all, and what is said when one is broken."""

from pathlib import Path

import pytest

from tests.architecture.rules import MAX_LINES, find_violations

VALID_TREE = {
    "libs/tapewire/__init__.py": "",
    "libs/tapewire/events/__init__.py": "import msgspec",
    "libs/tapewire/views/__init__.py": "from tapewire.events import Order",
    "libs/tapewire/log/__init__.py": "from tapewire.events import Event",
    "libs/tapewire/log/jetstream.py": "import nats\nfrom tapewire.log.port import EventLog",
    "libs/tapewire/runtime/__init__.py": "import nats.micro\nfrom tapewire.log import EventLog",
    "libs/tapewire/runtime/health.py": "from litestar import get",
    "libs/tapewire/cli/__init__.py": "print('ready')\nfrom tapewire.runtime import App",
    "services/orders/__init__.py": "",
    "services/orders/domain.py": "from tapewire.log import Subject",
    "services/orders/service.py": "import asyncio\nfrom tapewire_services.orders.domain import decide",
    "services/orders/__main__.py": "from tapewire.runtime import run",
    "services/edge/__init__.py": "",
    "services/edge/hub.py": "import structlog",
    "services/edge/lanes.py": "import asyncio",
    "services/edge/http/__init__.py": "import litestar",
    "services/edge/http/streams.py": "from litestar import asgi",
}


@pytest.fixture
def valid_tree(tmp_path: Path) -> Path:
    for file, text in VALID_TREE.items():
        write_file(tmp_path, file, f'"""What it is for."""\n{text}\n')
    return tmp_path


def write_file(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)


def find_messages(root: Path) -> list[str]:
    return [str(one) for one in find_violations(root)]


def test_a_house_that_keeps_the_rules(valid_tree: Path) -> None:
    assert find_messages(valid_tree) == []


RULE_VIOLATIONS = [
    ("libs/tapewire/events/x.py", "from tapewire.log import Subject", "tapewire.events may import"),
    ("libs/tapewire/events/x.py", "from tapewire import log", "not tapewire.log"),
    ("libs/tapewire/events/x.py", "import tapewire.log.port", "not tapewire.log.port"),
    ("libs/tapewire/events/x.py", "import tapewire.viewsish", "not tapewire.viewsish"),
    ("libs/tapewire/views/x.py", "from tapewire.log import Subject", "tapewire.views may import"),
    ("libs/tapewire/log/x.py", "from tapewire.runtime import App", "tapewire.log may import"),
    ("libs/tapewire/log/x.py", "from tapewire.views import View", "tapewire.log may import"),
    ("libs/tapewire/runtime/x.py", "from tapewire.cli import main", "tapewire.runtime may import"),
    (
        "libs/tapewire/cli/x.py",
        "from tapewire_services.orders import domain",
        "tapewire.cli may import",
    ),
    ("libs/tapewire/__init__.py", "from tapewire.log import x", "not tapewire.log.x"),
    ("libs/tapewire/producer/x.py", "from tapewire.cli import main", "tapewire.producer may"),
    (
        "libs/tapewire/producer/x.py",
        "import tapewire_services.orders.domain",
        "tapewire.producer may",
    ),
    ("libs/tapewire/producer/x.py", "import nats", "nats only inside"),
    (
        "libs/tapewire/runtime/x.py",
        "from tapewire.producer import connect",
        "not tapewire.producer",
    ),
    (
        "services/orders/x.py",
        "from tapewire_services.edge import hub",
        "not tapewire_services.edge.hub",
    ),
    (
        "services/edge/x.py",
        "import tapewire_services.orders.domain",
        "not tapewire_services.orders.domain",
    ),
    ("services/orders/x.py", "from tapewire.cli import main", "not tapewire.cli.main"),
    (
        "services/orders/x.py",
        "def f():\n    import tapewire_services.edge",
        "not tapewire_services.edge",
    ),
    ("services/orders/x.py", "from .domain import decide", "imports are absolute"),
    ("services/orders/x.py", "import nats", "nats only inside"),
    ("services/edge/follow.py", "from nats.aio import client", "nats only inside"),
    ("libs/tapewire/cli/x.py", "import nats", "nats only inside"),
    ("services/edge/follow.py", "import litestar", "litestar only in"),
    ("services/orders/x.py", "from litestar.di import Provide", "litestar only in"),
    ("libs/tapewire/runtime/app.py", "import litestar", "litestar only in"),
    ("services/edge/gatewayish.py", "import litestar", "litestar only in"),
    ("services/edge/hub.py", "import socket", "tapewire_services.edge.hub does no I/O"),
    ("services/edge/hub.py", "from pathlib import Path", "does no I/O"),
    ("services/edge/lanes/slots.py", "import httpx", "does no I/O"),
    ("services/edge/cursor.py", "x = open('f')", "may not call open"),
    ("services/edge/frames.py", "from tapewire.log.jetstream import Wire", "does no I/O"),
    ("services/edge/frames.py", "from tapewire.runtime import App", "does no I/O"),
    ("services/orders/domain.py", "import os", "tapewire_services.orders.domain does no I/O"),
    ("services/orders/domain.py", "import asyncio", "is pure"),
    ("services/orders/domain.py", "import structlog", "is pure"),
    ("services/orders/domain/x.py", "from time import monotonic", "is pure"),
    (
        "services/orders/domain.py",
        "from datetime import datetime\nx = datetime.now()",
        "has no clock",
    ),
    ("libs/tapewire/views/x.py", "import logging", "is pure"),
    ("libs/tapewire/views/x.py", "import urllib.request", "does no I/O"),
    ("services/edge/x.py", "print('here')", "print( only in the command line"),
    ("libs/tapewire/log/x.py", "def f():\n    print()", "print( only in the command line"),
    ("libs/tapewire/helpers/x.py", "", "tapewire.helpers.x is in no known room"),
    ("libs/tapewire/helpers.py", "", "tapewire.helpers is in no known room"),
    ("services/billing/x.py", "", "tapewire_services.billing.x is in no known room"),
    ("services/loose.py", "", "tapewire_services.loose is in no known room"),
    ("services/edge/x.py", "x = 1\n" * MAX_LINES, "a file wants to be a folder"),
    ("services/edge/x.py", "def f(:", "is no Python"),
]


@pytest.mark.parametrize(("file", "text", "rule"), RULE_VIOLATIONS)
def test_a_broken_rule_is_named_with_its_place(
    valid_tree: Path, file: str, text: str, rule: str
) -> None:
    write_file(valid_tree, file, f'"""What it is for."""\n{text}\n')

    [complaint] = find_messages(valid_tree)

    assert complaint.startswith(f"{file}:")
    assert rule in complaint


def test_the_line_is_named(valid_tree: Path) -> None:
    write_file(
        valid_tree, "services/orders/x.py", '"""What it is for."""\n\nimport msgspec\nimport nats\n'
    )
    [complaint] = find_messages(valid_tree)
    assert complaint.startswith("services/orders/x.py:4: ")


@pytest.mark.parametrize("text", ["x = 1\n", "", "# a comment\n"])
def test_a_module_without_a_docstring_is_named(valid_tree: Path, text: str) -> None:
    write_file(valid_tree, "services/edge/x.py", text)
    [complaint] = find_messages(valid_tree)
    assert complaint.startswith("services/edge/x.py:1: ")
    assert "docstring" in complaint


@pytest.mark.parametrize("part", ["domain", "service", "__main__"])
def test_a_service_without_one_of_its_parts_is_named(valid_tree: Path, part: str) -> None:
    (valid_tree / "services" / "orders" / f"{part}.py").unlink()
    assert f"services/orders:1: a service has a {part}.py: it is missing" in find_messages(
        valid_tree
    )


@pytest.mark.parametrize("file", ["services/edge/web/page.js", "libs/client/tapewire.js"])
def test_the_page_and_the_client_are_short_too(valid_tree: Path, file: str) -> None:
    write_file(valid_tree, file, "x;\n" * MAX_LINES)
    assert find_messages(valid_tree) == []
    write_file(valid_tree, file, "x;\n" * (MAX_LINES + 1))
    assert find_messages(valid_tree) == [
        f"{file}:301: 301 lines: past 300 a file wants to be a folder"
    ]


def test_everything_that_is_broken_is_named_at_once(valid_tree: Path) -> None:
    write_file(valid_tree, "services/orders/x.py", "import nats\nimport litestar\nprint()\n")
    assert len(find_messages(valid_tree)) == 4


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("services/edge/gateway.py", "import litestar"),
        ("services/edge/server.py", "import litestar"),
        ("services/edge/hub.py", "from tapewire.runtime.contracts import orders"),
        ("services/edge/frames.py", "from urllib.parse import quote"),
        ("services/orders/domain/book.py", "import heapq"),
        ("libs/tapewire/cli/up.py", "import os\nprint(os.environ)"),
    ],
)
def test_what_is_allowed(valid_tree: Path, file: str, text: str) -> None:
    write_file(valid_tree, file, f'"""What it is for."""\n{text}\n')
    assert find_messages(valid_tree) == []
