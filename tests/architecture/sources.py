"""Source files, their module names and their imports, for the rules in this folder."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import msgspec

SERVICES = "tapewire_services"
"""The import name of the folder `services`."""


class SourceFile(msgspec.Struct, frozen=True):
    """A parsed file. ``services/edge/http/__init__.py`` is ``tapewire_services.edge.http``."""

    file: str
    module: str
    tree: ast.Module


class RuleViolation(msgspec.Struct, frozen=True, order=True):
    """A line that breaks a rule."""

    file: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}"


RuleFindings = Iterator[tuple[int, str]]
"""Lines, and the rules that they break."""


def source_paths(root: Path) -> list[Path]:
    """Every Python file of the product below `root`, sorted."""
    return sorted([*(root / "libs" / "tapewire").rglob("*.py"), *(root / "services").rglob("*.py")])


def module_name(path: Path, root: Path) -> str:
    """The name by which the file at `path` is imported."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[0] == "libs":
        parts = parts[1:]
    if parts[0] == "services":
        parts[0] = SERVICES
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def parse_sources(root: Path) -> list[SourceFile]:
    """Every source file below `root`. Raises SyntaxError for a file that cannot be parsed."""
    return [
        SourceFile(
            path.relative_to(root).as_posix(), module_name(path, root), ast.parse(path.read_text())
        )
        for path in source_paths(root)
    ]


def is_within(name: str, *packages: str) -> bool:
    """Whether the module `name` is one of `packages` or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@functools.lru_cache(maxsize=4)
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Every node of the file; every rule reads them all."""
    return tuple(ast.walk(tree))


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every imported name in full, at any depth of the file: ``from a import b`` is ``a.b``."""
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def find_calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Every call in the file."""
    return (node for node in nodes(tree) if isinstance(node, ast.Call))
