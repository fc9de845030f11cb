"""This checkout keeps the rules, and docs/logging.md lists the log events of the code."""

from pathlib import Path

from tests.architecture.log_events import render_page
from tests.architecture.naming import find_retired_words_in_tests, read_shared_names
from tests.architecture.rules import find_violations

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_checkout_keeps_the_rules() -> None:
    shared_names = read_shared_names((DOCS / "glossary.md").read_text())
    found = find_violations(ROOT, shared_names)
    assert not found, "\n" + "\n".join(map(str, found))


def test_the_tests_use_no_retired_words() -> None:
    found = find_retired_words_in_tests(ROOT)
    assert not found, "\n" + "\n".join(map(str, found))


def test_the_source_folders_are_where_the_rules_look() -> None:
    """Rules that find no files would pass for ever."""
    assert (ROOT / "libs" / "tapewire" / "log" / "ports.py").exists()
    assert (ROOT / "services" / "edge").is_dir()


def test_the_glossary_lists_shared_class_names() -> None:
    assert read_shared_names((DOCS / "glossary.md").read_text())


def test_the_page_of_log_events_agrees_with_the_code() -> None:
    assert (DOCS / "logging.md").read_text() == render_page(ROOT), (
        "run `python -m tests.architecture.log_events > docs/logging.md`"
    )


def test_locks_of_npm_have_no_addresses() -> None:
    """Of registries, or of those who ask for funding: npm writes the latter back at an install.
    `resolved` names the folders of the workspace and the tarballs of the example alone."""
    for lock in ("libs/client/package-lock.json", "examples/react-app/package-lock.json"):
        assert "://" not in (ROOT / lock).read_text("utf-8"), lock
