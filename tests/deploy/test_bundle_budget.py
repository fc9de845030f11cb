"""`make budget`: what counts as loaded at first and later, and that too much fails."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

import bundle_budget
from workspace import PAGES

KILOBYTE = 1000
REGISTRY = """\
const ENTRIES = {
  watchlist: {
    access: "public",
    places: { trade: { x: 0 } },
  },
  ticket: {
    access: "session",
    places: { trade: { x: 1 } },
  },
  "ai-decisions": {
    access: "public",
    places: { strategies: { x: 0 } },
  },
};
"""
MANIFEST: dict[str, dict[str, Any]] = {
    "index.html": {"file": "page.js", "isEntry": True, "imports": ["_shared"], "css": ["page.css"]},
    "_shared": {"file": "shared.js"},
    "src/panels/watchlist/index.tsx": {
        "file": "watchlist.js", "isDynamicEntry": True, "imports": ["_shared"],
        "dynamicImports": ["src/panels/chart/canvas.ts"],
    },
    "src/panels/ticket/index.tsx": {"file": "ticket.js", "isDynamicEntry": True},
    "src/panels/ai-decisions/index.tsx": {"file": "decisions.js", "isDynamicEntry": True},
    "src/panels/chart/canvas.ts": {"file": "canvas.js", "isDynamicEntry": True},
}  # fmt: skip
FILES = [
    "page.js", "shared.js", "page.css", "watchlist.js", "ticket.js", "decisions.js", "canvas.js",
    "index.html",
]  # fmt: skip


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pages whose files have a kilobyte of gzip each."""
    manifest, registry = tmp_path / "manifest.json", tmp_path / "registry.ts"
    manifest.write_text(json.dumps(MANIFEST))
    registry.write_text(REGISTRY)
    for name in FILES:
        write_incompressible(tmp_path / name, KILOBYTE)
    monkeypatch.setattr(bundle_budget, "_MANIFEST", manifest)
    monkeypatch.setattr(bundle_budget, "_REGISTRY", registry)
    monkeypatch.setattr(bundle_budget, "PAGES", PAGES._replace(output=tmp_path))
    return tmp_path


def write_incompressible(path: Path, size: int) -> None:
    path.write_bytes(random.Random(path.name).randbytes(size))


def files_by_name() -> dict[str, set[str]]:
    return {part.name: set(part.files) for part in bundle_budget.measure()}


@pytest.mark.usefixtures("pages")
def test_the_first_view_has_the_page_and_the_public_panels_of_the_desk() -> None:
    first = {"index.html", "page.js", "shared.js", "page.css", "watchlist.js"}
    assert files_by_name()[bundle_budget.FIRST_VIEW] == first
    assert files_by_name()[bundle_budget.SIGNED_IN] == first | {"ticket.js"}


@pytest.mark.usefixtures("pages")
def test_what_is_loaded_later_counts_by_itself() -> None:
    found = files_by_name()
    assert found["chart"] == {"canvas.js"}
    assert found["ai-decisions"] == {"decisions.js"}
    assert set(found) == {
        bundle_budget.FIRST_VIEW,
        bundle_budget.SIGNED_IN,
        "chart",
        "ai-decisions",
    }


@pytest.mark.parametrize(
    ("file", "size", "over"),
    [
        ("shared.js", 151, "first view, first view, signed in"),
        ("ticket.js", 157, "first view, signed in"),
        ("canvas.js", 66, "chart"),
        ("decisions.js", 41, "ai-decisions"),
    ],
)
def test_more_than_a_budget_fails_and_is_named(
    pages: Path, capsys: pytest.CaptureFixture[str], file: str, size: int, over: str
) -> None:
    assert bundle_budget.main() == 0
    write_incompressible(pages / file, size * KILOBYTE)
    capsys.readouterr()
    assert bundle_budget.main() == 1
    assert capsys.readouterr().err == f"budget: {over}: more than the budget\n"
