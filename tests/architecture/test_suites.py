"""A suite of tests imports its own folder and tests/harness, never another suite.

A suite is a folder of tests/unit, a folder of tests/integration, or any other folder of tests.
What two suites need lives in tests/harness, which imports no suite.
"""

import ast
from pathlib import Path

from tests.architecture.sources import imports, is_within

ROOT = Path(__file__).parents[2]
HARNESS = "tests.harness"
TESTS_OF = {"tests.unit.bench": "tests.bench", "tests.unit.soak": "tests.soak"}
"""Folders of unit tests for the helpers of a slow suite."""


def suite_of(path: Path) -> str:
    """Return the dotted name of the suite that the test file `path` belongs to."""
    folders = path.relative_to(ROOT).parts[:-1]
    depth = 3 if folders[:2] in (("tests", "unit"), ("tests", "integration")) else 2
    return ".".join(folders[:depth])


def is_allowed(suite: str, module: str) -> bool:
    return is_within(module, HARNESS, suite, TESTS_OF.get(suite, suite))


def test_no_suite_imports_another_suite() -> None:
    foreign = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for _, module in imports(ast.parse(path.read_text()))
        if is_within(module, "tests") and not is_allowed(suite_of(path), module)
    ]
    assert not foreign, "\n".join(foreign)


def test_the_rule_tells_suites_apart() -> None:
    assert is_allowed("tests.unit.orders", "tests.unit.orders.invariants.check")
    assert is_allowed("tests.unit.bench", "tests.bench.peers.reader.ReaderPool")
    assert not is_allowed("tests.unit.strategies", "tests.unit.orders.invariants.check")
    assert not is_allowed("tests.harness", "tests.faults.plan.Fault")
