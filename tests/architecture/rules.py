"""The rules of the house, read off the source by its syntax trees.

`complaints(root)` looks at every Python file below ``libs/tapewire`` and ``services`` of a checkout
and says what breaks a rule, where, and which rule it is. `ROOMS` says who may import whom of ours;
the functions below it are one rule each. Nothing is imported: the tree may be broken.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

MOST_LINES = 300
WRITTEN = (".py", ".js", ".ts", ".css", ".html")

ROOMS: dict[str, tuple[str, ...]] = {
    "tapewire": ("tapewire.events", "tapewire.producer"),
    "tapewire.events": ("tapewire.events",),
    "tapewire.views": ("tapewire.events", "tapewire.views"),
    "tapewire.log": ("tapewire.events", "tapewire.log"),
    "tapewire.runtime": ("tapewire.events", "tapewire.log", "tapewire.runtime"),
    "tapewire.verify": (
        "tapewire.events",
        "tapewire.views",
        "tapewire.log",
        "tapewire.runtime.contracts",
        "tapewire.verify",
    ),
    "tapewire.producer": (
        "tapewire.events",
        "tapewire.log",
        "tapewire.runtime",
        "tapewire.producer",
    ),
    "tapewire.cli": ("tapewire",),
    **{
        f"services.{name}": (
            "tapewire.events",
            "tapewire.views",
            "tapewire.log",
            "tapewire.runtime",
            f"services.{name}",
        )
        for name in ("alerts", "edge", "insights", "orders", "positions", "prices", "strategies")
    },
}
"""Every room, and what of ours it may import."""

FRONT = "services.edge"
"""The service without a domain: it serves the others."""

NATS_ROOMS = ("tapewire.log", "tapewire.runtime")
LITESTAR_ROOMS = (
    "services.edge.http",
    "services.edge.gateway",
    "services.edge.server",
    "tapewire.runtime.health",
)
_QUIET = (
    "connection", "cursor", "dialects", "feeds", "flag", "frames", "gzip", "hub", "lanes", "limits",
    "newest", "roster", "selection",
)  # fmt: skip
QUIET_ROOMS = tuple(f"services.edge.{name}" for name in _QUIET)
"""No I/O; waiting and logging are allowed. Domains and views are stricter: `_is_pure`."""

READING = ("tapewire.verify.reading",)
"""The only part of verification that reads and waits."""

_OUTSIDE = """
aiohttp ctypes fcntl ftplib glob http httpx httpx_sse litestar mmap multiprocessing nats os pathlib
requests select selectors shutil signal smtplib socket socketserver sqlite3 ssl subprocess sys
tempfile threading urllib.request uvicorn
"""
OUTSIDE = frozenset(_OUTSIDE.split())
"""Modules that reach out of the process."""
PURE_OUTSIDE = frozenset({"asyncio", "concurrent", "logging", "opentelemetry", "structlog", "time"})
"""Modules that wait, log or tell the time: not for domains and views either."""
OURS_OUTSIDE = ("tapewire.log.jetstream", "tapewire.log.memory", "tapewire.runtime")
OURS_OUTSIDE_BUT = ("tapewire.runtime.contracts",)

CLOCKS = frozenset({"now", "utcnow", "today"})


class Source(msgspec.Struct, frozen=True):
    """A file of the house. `name` is its module: ``services.edge.http`` for its ``__init__``."""

    path: Path
    name: str
    tree: ast.Module


class Complaint(msgspec.Struct, frozen=True, order=True):
    """Something that breaks a rule."""

    file: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}"


Found = Iterator[tuple[int, str]]
"""Lines, and the rules that they break."""


def complaints(root: Path) -> list[Complaint]:
    """Everything below `root` that breaks a rule."""
    found: list[Complaint] = []
    for path in _files(root):
        where = path.relative_to(root).as_posix()
        try:
            tree = ast.parse(path.read_text())
        except SyntaxError as error:
            found.append(Complaint(where, error.lineno or 1, f"is no Python: {error.msg}"))
            continue
        source = Source(path, _module(path, root), tree)
        found += [Complaint(where, *one) for rule in RULES for one in rule(source)]
    return sorted([*found, *_lengths(root), *_shapes(root)])


def _files(root: Path) -> list[Path]:
    return sorted([*(root / "libs" / "tapewire").rglob("*.py"), *(root / "services").rglob("*.py")])


def _module(path: Path, root: Path) -> str:
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[0] == "libs":
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def within(name: str, *rooms: str) -> bool:
    """Whether the module `name` is one of `rooms` or inside of one."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def room_of(name: str) -> str | None:
    """The room that the module `name` is in."""
    if name == "tapewire":
        return name
    room = ".".join(name.split(".")[:2])
    return room if room in ROOMS else None


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every imported name in full, wherever in the file: ``from a import b`` is ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _known_room(source: Source) -> Found:
    if room_of(source.name) is None:
        known = ", ".join(sorted(ROOMS))
        yield 1, f"{source.name} is in no known room ({known}): a new one needs its rule here"


def _layers(source: Source) -> Found:
    room = room_of(source.name)
    if room is None:
        return
    for line, name in imports(source.tree):
        if within(name, "tapewire", "services") and not within(name, *ROOMS[room]):
            allowed = " and ".join(ROOMS[room]) or "nothing of ours"
            yield line, f"{room} may import {allowed}, not {name}"


def _absolute(source: Source) -> Found:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "imports are absolute, so that everyone sees what crosses a room"


def _nats(source: Source) -> Found:
    for line, name in imports(source.tree):
        if within(name, "nats") and not within(source.name, *NATS_ROOMS):
            yield line, f"nats only inside of {' and '.join(NATS_ROOMS)}"


def _litestar(source: Source) -> Found:
    for line, name in imports(source.tree):
        if within(name, "litestar") and not within(source.name, *LITESTAR_ROOMS):
            yield line, f"litestar only in {', '.join(LITESTAR_ROOMS)}"


def _is_pure(name: str) -> bool:
    parts = name.split(".")
    is_domain = parts[0] == "services" and parts[2:3] == ["domain"]
    laws = within(name, "tapewire.verify") and not within(name, *READING)
    return is_domain or laws or within(name, "tapewire.views")


def _no_io(source: Source) -> Found:
    pure = _is_pure(source.name)
    if not pure and not within(source.name, *QUIET_ROOMS):
        return
    for line, name in imports(source.tree):
        ours = within(name, *OURS_OUTSIDE) and not within(name, *OURS_OUTSIDE_BUT)
        if within(name, *OUTSIDE) or ours:
            yield line, f"{source.name} does no I/O, so it may not import {name}"
        elif pure and within(name, *PURE_OUTSIDE):
            yield line, f"{source.name} is pure: no clock, no waiting, no logging, so not {name}"
    for call in _calls(source.tree):
        if isinstance(call.func, ast.Name) and call.func.id in ("open", "input"):
            yield call.lineno, f"{source.name} does no I/O, so it may not call {call.func.id}"
        if pure and isinstance(call.func, ast.Attribute) and call.func.attr in CLOCKS:
            yield call.lineno, f"{source.name} has no clock: times arrive inside commands"


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _no_print(source: Source) -> Found:
    if within(source.name, "tapewire.cli"):
        return
    for call in _calls(source.tree):
        if isinstance(call.func, ast.Name) and call.func.id == "print":
            yield call.lineno, "print( only in the command line: elsewhere a logger"


def _docstring(source: Source) -> Found:
    if not ast.get_docstring(source.tree):
        yield 1, "a module begins with what it is for: it has no docstring"


RULES: tuple[Callable[[Source], Found], ...] = (
    _known_room,
    _layers,
    _absolute,
    _nats,
    _litestar,
    _no_io,
    _no_print,
    _docstring,
)


def _lengths(root: Path) -> Iterator[Complaint]:
    """Whatever people write, of the page too."""
    for path in sorted([*(root / "libs").rglob("*"), *(root / "services").rglob("*")]):
        if path.suffix in WRITTEN and path.is_file():
            lines = len(path.read_text().splitlines())
            if lines > MOST_LINES:
                where = path.relative_to(root).as_posix()
                rule = f"{lines} lines: past {MOST_LINES} a file wants to be a folder"
                yield Complaint(where, lines, rule)


def _shapes(root: Path) -> Iterator[Complaint]:
    """A service is its domain, its service and its wiring."""
    for folder in sorted((root / "services").glob("*/")):
        name = f"services.{folder.name}"
        if name not in ROOMS or name == FRONT:
            continue
        for part in ("domain", "service", "__main__"):
            if not (folder / f"{part}.py").exists() and not (folder / part).is_dir():
                where = folder.relative_to(root).as_posix()
                yield Complaint(where, 1, f"a service has a {part}.py: it is missing")
