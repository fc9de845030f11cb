"""Rules for names, import circles and log events: each is broken in a small tree and reported."""

from pathlib import Path

import pytest

from tests.architecture.log_events import render_page
from tests.architecture.naming import (
    SHARED_HEADING,
    find_retired_words_in_tests,
    read_shared_names,
)
from tests.architecture.rules import find_violations


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for file, text in files.items():
        path = root / "libs/tapewire/log" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""The purpose."""\n{text}\n')
    return root


def find_rules(root: Path, shared_names: frozenset[str] = frozenset()) -> list[str]:
    return [violation.rule for violation in find_violations(root, shared_names)]


@pytest.mark.parametrize(
    "text",
    [
        "class Seat: ...",
        "class _Seat: ...",
        "class Told: ...",
        "def hear() -> None: ...",
        "async def tell() -> None: ...",
        "def f(wire: object) -> None: ...",
        "def f(*, _tape: object) -> None: ...",
        "lane = 1",
        "PATIENCE = 1",
        "for happening in (): ...",
        "class A:\n    def __init__(self) -> None:\n        self._desk = 1",
        "class A:\n    told: int",
        "import json as tape",
        "try: ...\nexcept ValueError as trouble: ...",
        "match 1:\n    case int() as wire: ...",
        "match []:\n    case [*told]: ...",
    ],
)
def test_retired_words_are_reported(tmp_path: Path, text: str) -> None:
    [rule] = find_rules(write_tree(tmp_path, {"x.py": text}))
    assert "is retired: use the term of docs/glossary.md" in rule


def find_words_in_tests(root: Path, text: str) -> list[str]:
    path = root / "tests/unit/test_x.py"
    path.parent.mkdir(parents=True)
    path.write_text(f"{text}\n")
    return [str(violation) for violation in find_retired_words_in_tests(root)]


@pytest.mark.parametrize(
    "text",
    [
        "def test_a(house: object) -> None: ...",
        "kept = 1",
        "from a import b as shown",
        "assert f(), 'nobody was answered'",
        "assert f(), f'{x} says no'",
        "await wait_until('the edge has heard of it', f)",
        "page.wait_for(f'{x} is told', f)",
        "pytest.fail('The tape ends')",
    ],
)
def test_retired_words_in_tests_are_reported(tmp_path: Path, text: str) -> None:
    [found] = find_words_in_tests(tmp_path, text)
    assert found.startswith("tests/unit/test_x.py:1: the ")


@pytest.mark.parametrize(
    "text",
    [
        "held = 1",
        "'nobody'",
        "send('nobody was told')",
        "assert f(), nobody",
        "await wait_until('the order is filled', f, 'nobody')",
    ],
)
def test_other_words_in_tests_are_allowed(tmp_path: Path, text: str) -> None:
    assert find_words_in_tests(tmp_path, text) == []


@pytest.mark.parametrize(
    "text", ["class SeatMap: ...", "def hear_all() -> None: ...", "wired = 1", "print_ = a.tell"]
)
def test_longer_words_and_names_of_others_are_allowed(tmp_path: Path, text: str) -> None:
    assert find_rules(write_tree(tmp_path, {"x.py": text})) == []


def test_two_public_classes_of_one_name_are_reported(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": "class Order: ...", "b.py": "class Order: ..."})
    expected = "class Order is defined in tapewire.log.a and tapewire.log.b"
    assert find_rules(tmp_path) == [expected, expected]


def test_the_glossary_can_allow_a_shared_class_name(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": "class Order: ...", "b.py": "class Order: ..."})
    glossary = f"# Glossary\n\n{SHARED_HEADING}\n\n| name | meaning |\n|---|---|\n| `Order` | x |\n"
    assert find_rules(tmp_path, read_shared_names(glossary)) == []


def test_private_and_nested_classes_may_share_a_name(tmp_path: Path) -> None:
    text = "class _State: ...\nclass {}:\n    class Inner: ..."
    write_tree(tmp_path, {"a.py": text.format("A"), "b.py": text.format("B")})
    assert find_rules(tmp_path) == []


CIRCLES = [
    {"a.py": "from tapewire.log.b import B", "b.py": "from tapewire.log.a import A"},
    {"a.py": "import tapewire.log.b", "b.py": "def f() -> None:\n    import tapewire.log.a"},
    {
        "a.py": "from tapewire.log import b",
        "b.py": "if TYPE_CHECKING:\n    from tapewire.log import a",
    },
    {"__init__.py": "from tapewire.log.a import A", "a.py": "from tapewire.log import B"},
]  # fmt: skip


@pytest.mark.parametrize("files", CIRCLES)
def test_an_import_circle_is_reported_at_each_import(tmp_path: Path, files: dict[str, str]) -> None:
    rules = find_rules(write_tree(tmp_path, files))
    assert len(rules) == 2
    assert all(rule.startswith("import circle: tapewire.log") for rule in rules)


def test_a_longer_import_circle_is_reported_whole(tmp_path: Path) -> None:
    ring = {"a": "b", "b": "c", "c": "a", "d": "a"}
    write_tree(tmp_path, {f"{a}.py": f"import tapewire.log.{b}" for a, b in ring.items()})
    rules = find_rules(tmp_path)
    assert len(rules) == 3
    assert rules[0] == (
        "import circle: tapewire.log.a -> tapewire.log.b -> tapewire.log.c -> tapewire.log.a"
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("logger.info('stream opened')", "a log event is a literal like 'stream.opened', not"),
        ("logger.info('Stream.opened')", "a log event is a literal"),
        ("logger.info('opened')", "a log event is a literal"),
        ("logger.info(f'stream.{x}')", "a log event is a literal"),
        ("logger.exception(event)", "a log event is a literal"),
        ("self._logger.warning('%r again', x)", "a log event is a literal"),
        ("await retry(read, rng, logger, 'cannot read')", "a log event is a literal"),
        ("await retry(read, rng, logger, event=event)", "a log event is a literal"),
        ("logger.info('stream.opened', client=1)", "the log key client is client_id"),
        ("logger.info('stream.opened', why=1)", "the log key why is reason"),
        ("logger.info('stream.opened', event=1)", "the log key event is the first argument"),
    ],
)
def test_a_log_call_of_another_form_is_reported(tmp_path: Path, text: str, rule: str) -> None:
    [found] = find_rules(write_tree(tmp_path, {"x.py": text}))
    assert found.startswith(rule)


def test_the_page_of_log_events_lists_events_by_component(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "a.py": "logger.info('stream.opened', client_id=1)\nlogger.debug('broker.started')",
            "b.py": "logger.warning('stream.opened', sequence=1)",
            "c.py": "await retry(read, rng, logger, 'stream.read_failed', name=name)",
        },
    )
    page = render_page(tmp_path)
    assert find_rules(tmp_path) == []
    assert "| `broker.started` | debug |  | `tapewire.log.a` |" in page
    assert (
        "| `stream.opened` | info, warning | `client_id`, `sequence` |"
        " `tapewire.log.a`, `tapewire.log.b` |" in page
    )
    assert "| `stream.read_failed` | warning | `error`, `name` | `tapewire.log.c` |" in page
    assert page.index("## broker") < page.index("## stream")
