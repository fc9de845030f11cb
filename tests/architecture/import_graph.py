"""Finds import circles between modules.

An import counts wherever it stands: at the top, in a function, or under ``if TYPE_CHECKING``. Only
the module that an import names counts, not the packages above it. Start at `find_circles`.
"""

from collections.abc import Iterator, Sequence

from tests.architecture.sources import RuleViolation, SourceFile, imports

Graph = dict[str, dict[str, int]]
"""Module to imported module to the line of the import."""


def find_circles(sources: Sequence[SourceFile]) -> Iterator[RuleViolation]:
    """One violation for each import that lies on a circle."""
    graph = _without_leaves(_build_graph(sources))
    files = {source.module: source.file for source in sources}
    for module, targets in graph.items():
        for target, line in targets.items():
            path = _find_path(graph, target, module)
            if path:
                circle = " -> ".join([module, *path])
                yield RuleViolation(files[module], line, f"import circle: {circle}")


def _build_graph(sources: Sequence[SourceFile]) -> Graph:
    modules = {source.module for source in sources}
    graph: Graph = {source.module: {} for source in sources}
    for source in sources:
        for line, name in imports(source.tree):
            target = name
            while target and target not in modules:
                target = target.rpartition(".")[0]
            if target and target != source.module:
                graph[source.module].setdefault(target, line)
    return graph


def _without_leaves(graph: Graph) -> Graph:
    """`graph` without the modules that import nothing of it; what remains has circles, if any."""
    while leaves := {module for module, targets in graph.items() if not targets}:
        graph = {
            module: {target: line for target, line in targets.items() if target not in leaves}
            for module, targets in graph.items()
            if module not in leaves
        }
    return graph


def _find_path(graph: Graph, start: str, end: str) -> list[str]:
    """The shortest path from `start` to `end`, both included, or nothing."""
    paths = {start: [start]}
    waiting = [start]
    while waiting:
        module = waiting.pop(0)
        if module == end:
            return paths[module]
        for target in graph[module]:
            if target not in paths:
                paths[target] = [*paths[module], target]
                waiting.append(target)
    return []
