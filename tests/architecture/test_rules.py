"""The rules themselves: a small tree that keeps them all, and the message for each broken rule."""

from pathlib import Path

import pytest

from tests.architecture.rules import MAX_LINES, find_violations

VALID_TREE = {
    "libs/tapewire/__init__.py": "",
    "libs/tapewire/events/__init__.py": "import msgspec",
    "libs/tapewire/views/__init__.py": "from tapewire.events import Order",
    "libs/tapewire/log/__init__.py": "from tapewire.events import Event",
    "libs/tapewire/log/jetstream.py": "import nats\nfrom tapewire.log.ports import EventLog",
    "libs/tapewire/runtime/__init__.py": "import nats.micro\nfrom tapewire.log import EventLog",
    "libs/tapewire/runtime/health.py": "from litestar import get",
    "libs/tapewire/client/__init__.py": "from tapewire.runtime import RequestClient",
    "libs/tapewire/cli/__init__.py": "print('ready')\nfrom tapewire.runtime import App",
    "services/orders/__init__.py": "",
    "services/orders/domain.py": "from tapewire.log import Subject",
    "services/orders/service.py": (
        "import asyncio\nfrom tapewire_services.orders.domain import decide"
    ),
    "services/orders/__main__.py": "from tapewire.runtime import run",
    "services/edge/__init__.py": "",
    "services/edge/ingest/log_tail.py": "import structlog",
    "services/edge/delivery/hub.py": "from tapewire_services.edge.ingest.log_tail import LogTail",
    "services/edge/delivery/outbox.py": "import asyncio",
    "services/edge/http/__init__.py": "import litestar",
    "services/edge/http/streams.py": "from tapewire_services.edge.delivery.hub import Hub",
}


@pytest.fixture
def valid_tree(tmp_path: Path) -> Path:
    for file, text in VALID_TREE.items():
        write_file(tmp_path, file, f'"""The purpose."""\n{text}\n')
    return tmp_path


def write_file(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)


def find_messages(root: Path) -> list[str]:
    return [str(one) for one in find_violations(root)]


def test_a_tree_that_keeps_the_rules(valid_tree: Path) -> None:
    assert find_messages(valid_tree) == []


RULE_VIOLATIONS = [
    ("libs/tapewire/events/x.py", "from tapewire.log import Subject", "tapewire.events may import"),
    ("libs/tapewire/events/x.py", "from tapewire import log", "not tapewire.log"),
    ("libs/tapewire/events/x.py", "import tapewire.log.ports", "not tapewire.log.ports"),
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
    ("libs/tapewire/client/x.py", "from tapewire.cli import main", "tapewire.client may"),
    (
        "libs/tapewire/client/x.py",
        "import tapewire_services.orders.domain",
        "tapewire.client may",
    ),
    ("libs/tapewire/client/x.py", "import nats", "nats is imported only"),
    (
        "libs/tapewire/runtime/x.py",
        "from tapewire.client import connect",
        "not tapewire.client",
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
    ("services/orders/x.py", "import nats", "nats is imported only"),
    ("services/edge/ingest/x.py", "from nats.aio import client", "nats is imported only"),
    ("libs/tapewire/cli/x.py", "import nats", "nats is imported only"),
    ("services/edge/ingest/x.py", "import litestar", "litestar is imported only"),
    ("services/orders/x.py", "from litestar.di import Provide", "litestar is imported only"),
    ("libs/tapewire/runtime/app.py", "import litestar", "litestar is imported only"),
    ("services/edge/ingest/x.py", "import litestar", "litestar is imported only"),
    (
        "services/edge/delivery/hub.py",
        "import socket",
        "tapewire_services.edge.delivery.hub does no I/O",
    ),
    ("services/edge/delivery/hub.py", "from pathlib import Path", "does no I/O"),
    ("services/edge/delivery/serializers/x.py", "import httpx", "does no I/O"),
    ("services/edge/delivery/cursor.py", "x = open('f')", "may not call open"),
    (
        "services/edge/delivery/frames.py",
        "from tapewire.log.jetstream import Connection",
        "does no I/O",
    ),
    ("services/edge/delivery/frames.py", "from tapewire.runtime import App", "does no I/O"),
    ("services/orders/domain.py", "import os", "tapewire_services.orders.domain does no I/O"),
    ("services/orders/domain.py", "import asyncio", "is pure"),
    ("services/orders/domain.py", "import structlog", "is pure"),
    ("services/orders/domain/x.py", "from time import monotonic", "is pure"),
    (
        "services/orders/domain.py",
        "from datetime import datetime\nx = datetime.now()",
        "reads no clock",
    ),
    ("libs/tapewire/views/x.py", "import logging", "is pure"),
    ("libs/tapewire/views/x.py", "import urllib.request", "does no I/O"),
    ("services/edge/x.py", "print('here')", "only tapewire.cli calls print"),
    ("libs/tapewire/log/x.py", "def f():\n    print()", "only tapewire.cli calls print"),
    ("libs/tapewire/helpers/x.py", "", "tapewire.helpers.x is in no known package"),
    ("libs/tapewire/helpers.py", "", "tapewire.helpers is in no known package"),
    ("services/billing/x.py", "", "tapewire_services.billing.x is in no known package"),
    ("services/loose.py", "", "tapewire_services.loose is in no known package"),
    (
        "services/edge/ingest/x.py",
        "from tapewire_services.edge.delivery.hub import Hub",
        "tapewire_services.edge.ingest may import ingest of the edge",
    ),
    (
        "services/edge/delivery/x.py",
        "from tapewire_services.edge.http import streams",
        "tapewire_services.edge.delivery may import ingest and delivery of the edge",
    ),
    (
        "services/edge/auth/x.py",
        "from tapewire_services.edge.delivery import hub",
        "tapewire_services.edge.auth may import auth and cluster of the edge",
    ),
    ("services/edge/x.py", "x = 1\n" * MAX_LINES, "the limit is 300"),
    ("services/edge/x.py", "def f(:", "syntax error"),
]


@pytest.mark.parametrize(("file", "text", "rule"), RULE_VIOLATIONS)
def test_a_violation_names_file_and_rule(valid_tree: Path, file: str, text: str, rule: str) -> None:
    write_file(valid_tree, file, f'"""The purpose."""\n{text}\n')

    [violation] = find_messages(valid_tree)

    assert violation.startswith(f"{file}:")
    assert rule in violation


def test_a_violation_names_the_line(valid_tree: Path) -> None:
    write_file(
        valid_tree, "services/orders/x.py", '"""The purpose."""\n\nimport msgspec\nimport nats\n'
    )
    [violation] = find_messages(valid_tree)
    assert violation.startswith("services/orders/x.py:4: ")


@pytest.mark.parametrize("text", ["x = 1\n", "", "# a comment\n"])
def test_a_module_without_a_docstring_is_named(valid_tree: Path, text: str) -> None:
    write_file(valid_tree, "services/edge/x.py", text)
    [violation] = find_messages(valid_tree)
    assert violation.startswith("services/edge/x.py:1: ")
    assert "docstring" in violation


@pytest.mark.parametrize("part", ["domain", "service", "__main__"])
def test_a_service_without_one_of_its_parts_is_named(valid_tree: Path, part: str) -> None:
    (valid_tree / "services" / "orders" / f"{part}.py").unlink()
    assert f"services/orders:1: the service has no {part}.py" in find_messages(valid_tree)


@pytest.mark.parametrize(
    "file", ["services/edge/web/page.js", "libs/client/packages/x/src/y.ts", "libs/client/z.tsx"]
)
def test_the_length_limit_covers_javascript_and_typescript(valid_tree: Path, file: str) -> None:
    write_file(valid_tree, file, "x;\n" * MAX_LINES)
    assert find_messages(valid_tree) == []
    write_file(valid_tree, file, "x;\n" * (MAX_LINES + 1))
    assert find_messages(valid_tree) == [f"{file}:301: 301 lines: the limit is 300"]


@pytest.mark.parametrize("folder", ["node_modules/x", "packages/x/dist", "terminal/build"])
def test_the_length_limit_does_not_cover_what_is_built(valid_tree: Path, folder: str) -> None:
    write_file(valid_tree, f"libs/client/{folder}/x.js", "x;\n" * (MAX_LINES + 1))
    assert find_messages(valid_tree) == []


def test_all_violations_are_returned(valid_tree: Path) -> None:
    write_file(valid_tree, "services/orders/x.py", "import nats\nimport litestar\nprint()\n")
    assert len(find_messages(valid_tree)) == 4


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("services/edge/http/controllers/x.py", "import litestar"),
        ("services/edge/http/x.py", "from tapewire_services.edge.auth import Session"),
        ("services/edge/auth/x.py", "from tapewire_services.edge.cluster.limits import Limit"),
        ("services/edge/delivery/hub.py", "from tapewire.runtime.contracts import orders"),
        ("services/edge/delivery/frames.py", "from urllib.parse import quote"),
        ("services/orders/domain/book.py", "import heapq"),
        ("libs/tapewire/cli/up.py", "import os\nprint(os.environ)"),
    ],
)
def test_what_is_allowed(valid_tree: Path, file: str, text: str) -> None:
    write_file(valid_tree, file, f'"""The purpose."""\n{text}\n')
    assert find_messages(valid_tree) == []
