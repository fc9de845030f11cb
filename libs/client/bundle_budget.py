"""Measures what the pages load, and fails if it is more than its budget: `make budget`.

The figures are kilobytes (1000 bytes) of gzip. What the first view loads is the page, its styles,
and the public panels that are on the desk at first (`trade:` in terminal/src/panels/registry.ts).
Somebody who is signed in loads the private ones as well. What is imported dynamically is loaded
later; every such file has a budget of its own, in which files of the first view do not count. Start
reading at `measure`.
"""

import gzip
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from workspace import PAGES, WORKSPACE

FIRST_VIEW = "first view"
SIGNED_IN = "first view, signed in"
BUDGETS = {FIRST_VIEW: 150, SIGNED_IN: 150, "chart": 65, "symbol-dialog": 60}
OTHER_BUDGET = 40
"""Of each file that is loaded later and has no budget by name."""

_MANIFEST = PAGES.output / ".vite" / "manifest.json"
_REGISTRY = WORKSPACE / "terminal/src/panels/registry.ts"
_ENTRY = re.compile(r'^  "?([\w-]+)"?: \{$(.*?)^  \},$', re.MULTILINE | re.DOTALL)


class Bundle(NamedTuple):
    """What is loaded together."""

    name: str
    files: dict[str, int]
    """The bytes of gzip by file."""

    @property
    def size(self) -> float:
        """The kilobytes of all files."""
        return sum(self.files.values()) / 1000

    @property
    def budget(self) -> int:
        """The kilobytes that it may have."""
        return BUDGETS.get(self.name, OTHER_BUDGET)


def measure() -> list[Bundle]:
    """What the first view loads, and then what is loaded later, the largest first."""
    manifest: dict[str, dict[str, Any]] = json.loads(_MANIFEST.read_text())
    first = _view(manifest, _panels(public_only=True))
    signed_in = _view(manifest, _panels())
    later = []
    for key, chunk in manifest.items():
        files = _files(manifest, [key]) - signed_in
        if chunk.get("isDynamicEntry") or chunk.get("isEntry"):
            later.append(Bundle(_name(key), _sizes(files)))
    later = sorted((part for part in later if part.files), key=lambda part: -part.size)
    views = [Bundle(FIRST_VIEW, _sizes(first)), Bundle(SIGNED_IN, _sizes(signed_in))]
    return [*views, *later]


def _panels(*, public_only: bool = False) -> Iterator[str]:
    """The panels that are on the desk at first."""
    for name, entry in _ENTRY.findall(_REGISTRY.read_text()):
        if "trade: {" in entry and ('access: "public"' in entry or not public_only):
            yield name


def _view(manifest: dict[str, dict[str, Any]], panels: Iterable[str]) -> set[str]:
    modules = (f"src/panels/{panel}/index.tsx" for panel in panels)
    entries = ["index.html", *(module for module in modules if module in manifest)]
    return _files(manifest, entries) | {"index.html"}


def _files(manifest: dict[str, dict[str, Any]], keys: list[str]) -> set[str]:
    """The files of these chunks and of all that they import statically."""
    seen: set[str] = set()
    files: set[str] = set()
    while keys:
        key = keys.pop()
        if key not in seen:
            seen.add(key)
            chunk = manifest[key]
            files |= {chunk["file"], *chunk.get("css", [])}
            keys.extend(chunk.get("imports", []))
    return files


def _sizes(files: Iterable[str]) -> dict[str, int]:
    return {
        file: len(gzip.compress((PAGES.output / file).read_bytes(), 9)) for file in sorted(files)
    }


def _name(key: str) -> str:
    """A readable name of a chunk: its panel, or its file."""
    path = Path(key)
    if "chart" in path.parts:
        return "chart"
    return path.parent.name if path.stem == "index" else path.stem


def main() -> int:
    """Print the table; return 1 if something is over its budget."""
    parts = measure()
    for part in parts:
        state = "over" if part.size > part.budget else "ok"
        print(f"{part.size:7.1f} KB of {part.budget:3} KB  {state:4}  {part.name}")
        for file, size in sorted(part.files.items(), key=lambda item: -item[1]):
            print(f"{size / 1000:17.1f} KB  {file}")
    over = [part.name for part in parts if part.size > part.budget]
    if over:
        print(f"budget: {', '.join(over)}: more than the budget", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
