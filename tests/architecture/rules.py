"""The rules of the source tree, checked on syntax trees.

`find_violations(root)` reads every Python file below ``libs/tapewire`` and ``services`` of a
checkout and returns what breaks a rule, with file and line. `ALLOWED_IMPORTS` says which package
may import which; each ``_check_…`` function is one rule. Rules about names are in `naming`, rules
about log events in `log_events`, import circles in `import_graph`. Nothing is imported, so a broken
tree can be checked. Start at `find_violations`.
"""

import ast
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.architecture.import_graph import find_circles
from tests.architecture.log_events import check_log_calls
from tests.architecture.naming import check_retired_words, find_shared_class_names
from tests.architecture.sources import (
    SERVICES,
    RuleFindings,
    RuleViolation,
    SourceFile,
    find_calls,
    imports,
    is_within,
    module_name,
    nodes,
    source_paths,
)

MAX_LINES = 300
SOURCE_SUFFIXES = (".py", ".js", ".ts", ".tsx", ".css", ".html")
BUILT_FOLDERS = ("node_modules", "dist", "build", "generated")
"""Nobody edits what is in them."""

SERVICE_NAMES = ("alerts", "edge", "insights", "orders", "positions", "prices", "strategies")

FIELD_VALIDATION = f"{SERVICES}.field_validation"

PLUGIN_PORTS = {"orders": ("tapewire.brokers",), "prices": ("tapewire.feeds",)}
"""By service: the ports of its plug-ins, which packages outside of the project implement."""

ALLOWED_IMPORTS: dict[str, tuple[str, ...]] = {
    "tapewire": ("tapewire.events", "tapewire.client", "tapewire.payloads", "tapewire.sse"),
    "tapewire.decimals": (),
    "tapewire.extras": (),
    "tapewire.loop_thread": (),
    "tapewire.values": ("tapewire.decimals", "tapewire.values"),
    "tapewire.events": ("tapewire.values", "tapewire.events"),
    "tapewire.feeds": ("tapewire.feeds", "tapewire.values"),
    "tapewire.payloads": ("tapewire.events", "tapewire.payloads"),
    "tapewire.views": ("tapewire.decimals", "tapewire.events", "tapewire.views"),
    "tapewire.log": ("tapewire.events", "tapewire.log"),
    "tapewire.runtime": (
        "tapewire.events",
        "tapewire.extras",
        "tapewire.log",
        "tapewire.payloads",
        "tapewire.runtime",
    ),
    "tapewire.brokers": ("tapewire.events", "tapewire.log", "tapewire.runtime", "tapewire.brokers"),
    "tapewire.verify": (
        "tapewire.events",
        "tapewire.views",
        "tapewire.log",
        "tapewire.runtime.contracts",
        "tapewire.verify",
    ),
    "tapewire.archive": (
        "tapewire.events",
        "tapewire.views",
        "tapewire.log",
        "tapewire.verify",
        "tapewire.archive",
    ),
    "tapewire.sse": (
        "tapewire.events",
        "tapewire.loop_thread",
        "tapewire.payloads",
        "tapewire.sse",
        "tapewire.values",
    ),
    "tapewire.client": (
        "tapewire.decimals",
        "tapewire.events",
        "tapewire.log",
        "tapewire.loop_thread",
        "tapewire.runtime",
        "tapewire.sse.sync_stream",
        "tapewire.values",
        "tapewire.client",
    ),
    "tapewire.cli": ("tapewire",),
    "tapewire.testing": (
        "tapewire.brokers",
        "tapewire.events",
        "tapewire.feeds",
        "tapewire.log",
        "tapewire.runtime",
        "tapewire.testing",
        "tapewire.values",
        "tapewire.views",
        f"{SERVICES}.orders",
        f"{SERVICES}.positions",
    ),
    **{
        f"{SERVICES}.{name}": (
            "tapewire.decimals",
            "tapewire.events",
            "tapewire.payloads",
            "tapewire.views",
            "tapewire.log",
            "tapewire.runtime",
            "tapewire.values",
            FIELD_VALIDATION,
            *PLUGIN_PORTS.get(name, ()),
            f"{SERVICES}.{name}",
        )
        for name in SERVICE_NAMES
    },
    FIELD_VALIDATION: ("tapewire.decimals", "tapewire.log", "tapewire.values"),
    "tapewire_services.checkpoints": (
        "tapewire.events",
        "tapewire.log",
        "tapewire.runtime",
        "tapewire_services",
    ),
    "tapewire_services.completions": ("tapewire.events", "tapewire.log", "tapewire_services"),
}
"""Every package, and what of the project it may import."""

EDGE = f"{SERVICES}.edge"
EDGE_IMPORTS: dict[str, tuple[str, ...]] = {
    f"{EDGE}.ingest": ("ingest",),
    f"{EDGE}.delivery": ("ingest", "delivery"),
    f"{EDGE}.cluster": ("cluster",),
    f"{EDGE}.auth": ("auth", "cluster"),
}
"""The order of the edge's packages: an event flows from `ingest` through `delivery` to `http`."""

NATS_PACKAGES = ("tapewire.log", "tapewire.runtime")
LITESTAR_PACKAGES = (f"{EDGE}.http", "tapewire.runtime.health")
PACKAGES_WITHOUT_IO = (f"{EDGE}.delivery", "tapewire.log.light_objects")
"""They may wait and log, but reach nothing outside of the process. See also `_is_pure`."""

VERIFY_READING_MODULES = ("tapewire.verify.verifier",)
"""The modules of verification that read the log and wait."""

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
"""Modules that wait, log or read a clock. Domains and views may not import them either."""
OWN_IO_PACKAGES = ("tapewire.log.jetstream", "tapewire.log.memory", "tapewire.runtime")
OWN_IO_EXCEPTIONS = ("tapewire.runtime.contracts", "tapewire.runtime.broadcast")

CLOCK_METHODS = frozenset({"now", "utcnow", "today"})


def find_violations(root: Path, shared_names: frozenset[str] = frozenset()) -> list[RuleViolation]:
    """Everything below `root` that breaks a rule.

    Args:
        shared_names: class names that several modules may define, from docs/glossary.md.
    """
    found: list[RuleViolation] = []
    sources: list[SourceFile] = []
    for path in source_paths(root):
        file = path.relative_to(root).as_posix()
        try:
            tree = ast.parse(path.read_text())
        except SyntaxError as error:
            found.append(RuleViolation(file, error.lineno or 1, f"syntax error: {error.msg}"))
            continue
        source = SourceFile(file, module_name(path, root), tree)
        sources.append(source)
        found += [RuleViolation(file, *finding) for rule in RULES for finding in rule(source)]
    found += find_circles(sources)
    found += find_shared_class_names(sources, shared_names)
    return sorted([*found, *_check_file_lengths(root), *_check_service_layout(root)])


def package_of(module: str) -> str | None:
    """The entry of `ALLOWED_IMPORTS` that `module` belongs to, if any."""
    if module == "tapewire":
        return module
    package = ".".join(module.split(".")[:2])
    return package if package in ALLOWED_IMPORTS else None


def _check_known_package(source: SourceFile) -> RuleFindings:
    if package_of(source.module) is None:
        known = ", ".join(sorted(ALLOWED_IMPORTS))
        yield 1, f"{source.module} is in no known package ({known}): add its rule here"


def _check_layers(source: SourceFile) -> RuleFindings:
    package = package_of(source.module)
    if package is None:
        return
    allowed = ALLOWED_IMPORTS[package]
    for line, name in imports(source.tree):
        if is_within(name, "tapewire", SERVICES) and not is_within(name, *allowed):
            yield line, f"{package} may import {' and '.join(allowed) or 'nothing'}, not {name}"


def _check_edge_order(source: SourceFile) -> RuleFindings:
    for package, parts in EDGE_IMPORTS.items():
        if not is_within(source.module, package):
            continue
        allowed = [f"{EDGE}.{part}" for part in parts]
        for line, name in imports(source.tree):
            if is_within(name, EDGE) and not is_within(name, *allowed):
                yield line, f"{package} may import {' and '.join(parts)} of the edge, not {name}"


def _check_absolute_imports(source: SourceFile) -> RuleFindings:
    for node in nodes(source.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "imports are absolute, because they show what crosses a package"


def _check_nats_imports(source: SourceFile) -> RuleFindings:
    for line, name in imports(source.tree):
        if is_within(name, "nats") and not is_within(source.module, *NATS_PACKAGES):
            yield line, f"nats is imported only in {' and '.join(NATS_PACKAGES)}"


def _check_litestar_imports(source: SourceFile) -> RuleFindings:
    for line, name in imports(source.tree):
        if is_within(name, "litestar") and not is_within(source.module, *LITESTAR_PACKAGES):
            yield line, f"litestar is imported only in {' and '.join(LITESTAR_PACKAGES)}"


def _is_pure(module: str) -> bool:
    parts = module.split(".")
    is_domain = parts[0] == SERVICES and parts[2:3] == ["domain"]
    is_check = is_within(module, "tapewire.verify") and not is_within(
        module, *VERIFY_READING_MODULES
    )
    return (
        is_domain
        or is_check
        or is_within(
            module,
            "tapewire.views",
            "tapewire.decimals",
            "tapewire.values",
            "tapewire.payloads",
            "tapewire.sse.protocol",
            FIELD_VALIDATION,
        )
    )


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
    for call in find_calls(source.tree):
        if isinstance(call.func, ast.Name) and call.func.id in ("open", "input"):
            yield call.lineno, f"{source.module} does no I/O, so it may not call {call.func.id}"
        if pure and isinstance(call.func, ast.Attribute) and call.func.attr in CLOCK_METHODS:
            yield call.lineno, f"{source.module} reads no clock: commands carry their time"


def _check_no_print(source: SourceFile) -> RuleFindings:
    if is_within(source.module, "tapewire.cli"):
        return
    for call in find_calls(source.tree):
        if isinstance(call.func, ast.Name) and call.func.id == "print":
            yield call.lineno, "only tapewire.cli calls print; other code logs"


def _check_docstring(source: SourceFile) -> RuleFindings:
    if not ast.get_docstring(source.tree):
        yield 1, "the module has no docstring that says what it is for"


RULES: tuple[Callable[[SourceFile], RuleFindings], ...] = (
    _check_known_package,
    _check_layers,
    _check_edge_order,
    _check_absolute_imports,
    _check_nats_imports,
    _check_litestar_imports,
    _check_no_io,
    _check_no_print,
    _check_docstring,
    check_retired_words,
    check_log_calls,
)


def _check_file_lengths(root: Path) -> Iterator[RuleViolation]:
    for path in sorted([*_edited_files(root / "libs"), *_edited_files(root / "services")]):
        if path.suffix in SOURCE_SUFFIXES:
            lines = len(path.read_text().splitlines())
            if lines > MAX_LINES:
                file = path.relative_to(root).as_posix()
                yield RuleViolation(file, lines, f"{lines} lines: the limit is {MAX_LINES}")


def _edited_files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in BUILT_FOLDERS]
        yield from (Path(folder, name) for name in files)


def _check_service_layout(root: Path) -> Iterator[RuleViolation]:
    """A service has a domain, a service module and a `__main__`. The edge has no domain."""
    for folder in sorted((root / "services").glob("*/")):
        if folder.name not in SERVICE_NAMES or folder.name == "edge":
            continue
        for part in ("domain", "service", "__main__"):
            if not (folder / f"{part}.py").exists() and not (folder / part).is_dir():
                file = folder.relative_to(root).as_posix()
                yield RuleViolation(file, 1, f"the service has no {part}.py")
