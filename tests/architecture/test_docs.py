"""The docs name modules, files, commands and settings that exist, and their links work."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tapewire
from tapewire.cli import COMMANDS
from tapewire.runtime import Settings
from tests.architecture.rules import BUILT_FOLDERS
from tests.architecture.sources import SERVICES, module_name, source_paths

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        *(page for page in (ROOT / "docs").rglob("*.md") if page.name != "logging.md"),
        *(page for page in (ROOT / "examples").rglob("*.md") if "node_modules" not in page.parts),
        ROOT / "libs" / "client" / "README.md",
    ]
)
MODULES = {module_name(path, ROOT): path for path in source_paths(ROOT)}

_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
_CODE = re.compile(r"`([^`\n]+)`")
_MODULE = re.compile(rf"(?:tapewire|{SERVICES})(?:\.\w+)+")
_FILE = re.compile(r"(?:libs|services|docs|tests|examples|k8s)/[\w./-]*\w/?")


def parametrize_pages(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "page", pages, ids=[page.relative_to(ROOT).as_posix() for page in pages]
    )


@parametrize_pages(PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        target
        for target, _ in _LINK.findall(page.read_text())
        if target and "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


@parametrize_pages(PAGES)
def test_fragments_name_a_heading(page: Path) -> None:
    broken = []
    for target, fragment in _LINK.findall(page.read_text()):
        if fragment and "://" not in target:
            other = page.parent / target if target else page
            if fragment not in _anchors(other.read_text()):
                broken.append(f"{target}#{fragment}")
    assert broken == []


@parametrize_pages(PAGES)
def test_modules_and_files_exist(page: Path) -> None:
    missing = []
    for code in _CODE.findall(page.read_text()):
        if _MODULE.fullmatch(code) and not code.endswith(".js") and not _names_something(code):
            missing.append(code)
        if _FILE.fullmatch(code) and not _is_in_a_checkout(ROOT, code):
            missing.append(code)
    assert missing == []


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("services/web/dist", True),
        ("services/web/dist/assets/index.js", True),
        ("services/web/icon.svg", True),
        ("services/web/orders.js", False),
        ("services/wob/dist", False),
    ],
)
def test_files_are_looked_for_as_in_a_checkout_without_builds(
    tmp_path: Path, file: str, expected: bool
) -> None:
    (tmp_path / "services" / "web").mkdir(parents=True)
    (tmp_path / "services" / "web" / "icon.svg").touch()
    assert _is_in_a_checkout(tmp_path, file) is expected


@parametrize_pages(PAGES)
def test_every_row_belongs_to_a_table(page: Path) -> None:
    """A row after a blank line or a text is shown as a text."""
    assert _find_stray_rows(page.read_text()) == []


@pytest.mark.parametrize(
    ("text", "stray"),
    [
        ("| a |\n|---|\n| b |", []),
        ("| a |\n|---|\n| b |\n\n| c |\n| d |", [5]),
        ("text\n| a |", [2]),
        ("```\n| a |\n```", []),
    ],
)
def test_rows_without_a_table_are_found(text: str, stray: list[int]) -> None:
    assert _find_stray_rows(text) == stray


def _find_stray_rows(text: str) -> list[int]:
    """The numbers of the lines that begin a table and have no line of dashes below."""
    found, is_code, is_table = [], False, False
    lines = text.splitlines()
    for number, (line, following) in enumerate(zip(lines, [*lines[1:], ""], strict=True), 1):
        is_code ^= line.lstrip().startswith("```")
        is_row = line.lstrip().startswith("|") and not is_code
        if is_row and not is_table and not re.fullmatch(r"\s*\|[\s:|-]+\|", following):
            found.append(number)
        is_table = is_row
    return found


@parametrize_pages(PAGES)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)(?:\w+=\S+ )*make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named - targets == set()


@parametrize_pages(PAGES)
def test_commands_exist(page: Path) -> None:
    named = set(
        re.findall(r"(?:`|^)(?:\.venv/bin/)?tapewire ([a-z-]+)", page.read_text(), re.MULTILINE)
    )
    assert named - set(COMMANDS) == set()


@parametrize_pages(PAGES)
def test_settings_exist(page: Path) -> None:
    named = set(re.findall(r"\b(?:SSE|TAPEWIRE)_[A-Z][A-Z_]+\b", page.read_text()))
    assert named - _known_variables() == set()


def _is_in_a_checkout(root: Path, file: str) -> bool:
    """Whether `file` exists; what is in a built folder may, if the folder's parent exists."""
    parts = Path(file).parts
    built = next((i for i, part in enumerate(parts) if part in BUILT_FOLDERS), len(parts))
    return root.joinpath(*parts[:built]).exists()


def _names_something(code: str) -> bool:
    """Whether `code` is a module, or a module followed by names that its file contains."""
    module, names = code, list[str]()
    while module and module not in MODULES:
        module, _, name = module.rpartition(".")
        names.append(name)
    if not module or module in ("tapewire", SERVICES):
        return not names or (module == "tapewire" and _is_public(names[-1]))
    text = MODULES[module].read_text()
    return all(re.search(rf"\b{name}\b", text) for name in names)


def _is_public(name: str) -> bool:
    """Whether `tapewire` exports `name`."""
    return hasattr(tapewire, name)


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings
    }


@functools.cache
def _known_variables() -> set[str]:
    """Every variable that the product, the examples, the Makefile or the tests read."""
    return set(_variables())


def _variables() -> Iterator[str]:
    pattern = re.compile(r"\b(?:SSE|TAPEWIRE)_[A-Z][A-Z_]+\b")
    sources = [path for folder in ("examples", "tests") for path in (ROOT / folder).rglob("*.py")]
    for path in [*MODULES.values(), *sources]:
        if path.name != "test_docs.py":
            yield from pattern.findall(path.read_text())
    for path in (ROOT / "Makefile", ROOT / "compose.yaml"):
        yield from pattern.findall(path.read_text())
    yield from (f"TAPEWIRE_{field.upper()}" for field in Settings.__struct_fields__)


def test_the_class_names_of_the_glossary_exist() -> None:
    named = re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", (ROOT / "docs" / "glossary.md").read_text())
    defined = {
        match
        for path in MODULES.values()
        for match in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)
    }
    assert named
    assert set(named) - defined == set()


def test_every_decision_record_has_a_number_of_its_own() -> None:
    records = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))
    numbers = [name.partition("-")[0] for name in records]
    assert len(numbers) == len({*numbers}), records
