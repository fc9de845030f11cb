"""The rules of the house, read off the source by its syntax trees.

`complaints(root)` looks at every Python file below ``libs/tapewire`` and ``services`` of a checkout
and says what breaks a rule, where, and which rule it is. `ROOMS` says who may import whom of ours;
the functions below it are one rule each. Nothing is imported: the tree may be broken.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

MAX_LINES = 300
SOURCE_SUFFIXES = (".py", ".js", ".ts", ".css", ".html")

SERVICES = "tapewire_services"
"""The import name of the folder `services`."""

ALLOWED_IMPORTS: dict[str, tuple[str, ...]] = {
    "tapewire": ("tapewire.events", "tapewire.client"),
    "tapewire.decimals": (),
    "tapewire.events": ("tapewire.events",),
    "tapewire.views": ("tapewire.decimals", "tapewire.events", "tapewire.views"),
    "tapewire.log": ("tapewire.events", "tapewire.log"),
    "tapewire.runtime": ("tapewire.events", "tapewire.log", "tapewire.runtime"),
    "tapewire.verify": (
        "tapewire.events",
        "tapewire.views",
        "tapewire.log",
        "tapewire.runtime.contracts",
        "tapewire.verify",
    ),
    "tapewire.client": (
        "tapewire.decimals",
        "tapewire.events",
        "tapewire.log",
        "tapewire.runtime",
        "tapewire.client",
    ),
    "tapewire.cli": ("tapewire",),
    **{
        f"tapewire_services.{name}": (
            "tapewire.decimals",
            "tapewire.events",
            "tapewire.views",
            "tapewire.log",
            "tapewire.runtime",
            f"tapewire_services.{name}",
        )
        for name in ("alerts", "edge", "insights", "orders", "positions", "prices", "strategies")
    },
}
"""Every room, and what of ours it may import."""

FRONTEND_SERVICE = "tapewire_services.edge"
"""The service without a domain: it serves the others."""

NATS_PACKAGES = ("tapewire.log", "tapewire.runtime")
LITESTAR_PACKAGES = (
    "tapewire_services.edge.http",
    "tapewire_services.edge.http.controllers",
    "tapewire_services.edge.http.server",
    "tapewire.runtime.health",
)
_EDGE_MODULES_WITHOUT_IO = (
    "connection", "cursor", "dialects", "feeds", "flag", "frames", "gzip", "hub", "lanes", "limits",
    "newest", "roster", "selection",
)  # fmt: skip
PACKAGES_WITHOUT_IO = tuple(f"tapewire_services.edge.{name}" for name in _EDGE_MODULES_WITHOUT_IO)
"""No I/O; waiting and logging are allowed. Domains and views are stricter: `_is_pure`."""

VERIFY_READING_MODULES = ("tapewire.verify.verifier",)
"""The only part of verification that reads and waits."""

_IO_MODULE_NAMES = """
aiohttp ctypes fcntl ftplib glob http httpx httpx_sse litestar mmap multiprocessing nats os pathlib
requests select selectors shutil signal smtplib socket socketserver sqlite3 ssl subprocess sys
tempfile threading urllib.request uvicorn
"""
IO_MODULES = frozenset(_IO_MODULE_NAMES.split())
"""Modules that reach out of the process."""
IMPURE_MODULES = frozenset(
    {"asyncio", "concurrent", "logging", "opentelemetry", "structlog", "time"}
)
"""Modules that wait, log or tell the time: not for domains and views either."""
OWN_IO_PACKAGES = ("tapewire.log.jetstream", "tapewire.log.memory", "tapewire.runtime")
OWN_IO_EXCEPTIONS = ("tapewire.runtime.contracts",)

CLOCK_METHODS = frozenset({"now", "utcnow", "today"})


class SourceFile(msgspec.Struct, frozen=True):
    """A file of the house. `name` is its module: ``tapewire_services.edge.http`` for its ``__init__``."""

    path: Path
    module: str
    tree: ast.Module


class RuleViolation(msgspec.Struct, frozen=True, order=True):
    """Something that breaks a rule."""

    file: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}"


RuleFindings = Iterator[tuple[int, str]]
"""Lines, and the rules that they break."""


def find_violations(root: Path) -> list[RuleViolation]:
    """Everything below `root` that breaks a rule."""
    found: list[RuleViolation] = []
    for path in _source_files(root):
        where = path.relative_to(root).as_posix()
        try:
            tree = ast.parse(path.read_text())
        except SyntaxError as error:
            found.append(RuleViolation(where, error.lineno or 1, f"is no Python: {error.msg}"))
            continue
        source = SourceFile(path, _module_name(path, root), tree)
        found += [RuleViolation(where, *one) for rule in RULES for one in rule(source)]
    return sorted([*found, *_check_file_lengths(root), *_check_service_layout(root)])


def _source_files(root: Path) -> list[Path]:
    return sorted([*(root / "libs" / "tapewire").rglob("*.py"), *(root / "services").rglob("*.py")])


def _module_name(path: Path, root: Path) -> str:
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[0] == "libs":
        parts = parts[1:]
    if parts[0] == "services":
        parts[0] = SERVICES
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def is_within(name: str, *packages: str) -> bool:
    """Whether the module `name` is one of `rooms` or inside of one."""
    return any(name == room or name.startswith(f"{room}.") for room in packages)


def package_of(name: str) -> str | None:
    """The room that the module `name` is in."""
    if name == "tapewire":
        return name
    room = ".".join(name.split(".")[:2])
    return room if room in ALLOWED_IMPORTS else None


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every imported name in full, wherever in the file: ``from a import b`` is ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _check_known_package(source: SourceFile) -> RuleFindings:
    if package_of(source.module) is None:
        known = ", ".join(sorted(ALLOWED_IMPORTS))
        yield 1, f"{source.module} is in no known room ({known}): a new one needs its rule here"


def _check_layers(source: SourceFile) -> RuleFindings:
    room = package_of(source.module)
    if room is None:
        return
    for line, name in imports(source.tree):
        if is_within(name, "tapewire", SERVICES) and not is_within(name, *ALLOWED_IMPORTS[room]):
            allowed = " and ".join(ALLOWED_IMPORTS[room]) or "nothing of ours"
            yield line, f"{room} may import {allowed}, not {name}"


def _check_absolute_imports(source: SourceFile) -> RuleFindings:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "imports are absolute, so that everyone sees what crosses a room"


def _check_nats_imports(source: SourceFile) -> RuleFindings:
    for line, name in imports(source.tree):
        if is_within(name, "nats") and not is_within(source.module, *NATS_PACKAGES):
            yield line, f"nats only inside of {' and '.join(NATS_PACKAGES)}"


def _check_litestar_imports(source: SourceFile) -> RuleFindings:
    for line, name in imports(source.tree):
        if is_within(name, "litestar") and not is_within(source.module, *LITESTAR_PACKAGES):
            yield line, f"litestar only in {', '.join(LITESTAR_PACKAGES)}"


def _is_pure(name: str) -> bool:
    parts = name.split(".")
    is_domain = parts[0] == SERVICES and parts[2:3] == ["domain"]
    laws = is_within(name, "tapewire.verify") and not is_within(name, *VERIFY_READING_MODULES)
    return is_domain or laws or is_within(name, "tapewire.views")


def _check_no_io(source: SourceFile) -> RuleFindings:
    pure = _is_pure(source.module)
    if not pure and not is_within(source.module, *PACKAGES_WITHOUT_IO):
        return
    for line, name in imports(source.tree):
        ours = is_within(name, *OWN_IO_PACKAGES) and not is_within(name, *OWN_IO_EXCEPTIONS)
        if is_within(name, *IO_MODULES) or ours:
            yield line, f"{source.module} does no I/O, so it may not import {name}"
        elif pure and is_within(name, *IMPURE_MODULES):
            yield line, f"{source.module} is pure: no clock, no waiting, no logging, so not {name}"
    for call in _find_calls(source.tree):
        if isinstance(call.func, ast.Name) and call.func.id in ("open", "input"):
            yield call.lineno, f"{source.module} does no I/O, so it may not call {call.func.id}"
        if pure and isinstance(call.func, ast.Attribute) and call.func.attr in CLOCK_METHODS:
            yield call.lineno, f"{source.module} has no clock: times arrive inside commands"


def _find_calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _check_no_print(source: SourceFile) -> RuleFindings:
    if is_within(source.module, "tapewire.cli"):
        return
    for call in _find_calls(source.tree):
        if isinstance(call.func, ast.Name) and call.func.id == "print":
            yield call.lineno, "print( only in the command line: elsewhere a logger"


def _check_docstring(source: SourceFile) -> RuleFindings:
    if not ast.get_docstring(source.tree):
        yield 1, "a module begins with what it is for: it has no docstring"


RULES: tuple[Callable[[SourceFile], RuleFindings], ...] = (
    _check_known_package,
    _check_layers,
    _check_absolute_imports,
    _check_nats_imports,
    _check_litestar_imports,
    _check_no_io,
    _check_no_print,
    _check_docstring,
)


def _check_file_lengths(root: Path) -> Iterator[RuleViolation]:
    """Whatever people write, of the page too."""
    for path in sorted([*(root / "libs").rglob("*"), *(root / "services").rglob("*")]):
        if path.suffix in SOURCE_SUFFIXES and path.is_file():
            lines = len(path.read_text().splitlines())
            if lines > MAX_LINES:
                where = path.relative_to(root).as_posix()
                rule = f"{lines} lines: past {MAX_LINES} a file wants to be a folder"
                yield RuleViolation(where, lines, rule)


def _check_service_layout(root: Path) -> Iterator[RuleViolation]:
    """A service is its domain, its service and its wiring."""
    for folder in sorted((root / "services").glob("*/")):
        name = f"tapewire_services.{folder.name}"
        if name not in ALLOWED_IMPORTS or name == FRONTEND_SERVICE:
            continue
        for part in ("domain", "service", "__main__"):
            if not (folder / f"{part}.py").exists() and not (folder / part).is_dir():
                where = folder.relative_to(root).as_posix()
                yield RuleViolation(where, 1, f"a service has a {part}.py: it is missing")
