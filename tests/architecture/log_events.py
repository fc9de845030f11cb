"""The log events of the product: their form, and the page that lists them.

A logger call's first argument is a literal of the form ``component.what_happened``; details are
keyword fields. `render_page` writes docs/logging.md, and a test compares the page with the code.

    python -m tests.architecture.log_events > docs/logging.md
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.architecture.sources import RuleFindings, SourceFile, find_calls, parse_sources

EVENT_FORM = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
RETRY_FUNCTIONS = frozenset({"retry"})
"""Functions that log their fourth argument or `event=`, as a warning with `error`."""

RESERVED_KEYS = {
    "at": "sequence",
    "client": "client_id",
    "correlation": "correlation_id",
    "event": "the first argument",
    "trace": "trace_id",
    "user": "user_id",
    "why": "reason",
}
"""Keys that have another name in every log line."""

_IGNORED_KEYS = frozenset({"exc_info", "errors"})


class LogCall(msgspec.Struct, frozen=True):
    """A call that writes a log line. `event` is None when the argument is not a literal."""

    line: int
    event: str | None
    level: str
    keys: tuple[str, ...]


def find_log_calls(source: SourceFile) -> Iterator[LogCall]:
    """Every call in `source` that writes a log line."""
    for call in find_calls(source.tree):
        keys = tuple(word.arg for word in call.keywords if word.arg not in {None, *_IGNORED_KEYS})
        named = [key for key in keys if key is not None]
        if _is_logger_call(call):
            assert isinstance(call.func, ast.Attribute)
            event = _literal(call.args[0]) if call.args else None
            yield LogCall(call.lineno, event, call.func.attr, tuple(named))
        elif isinstance(call.func, ast.Name) and call.func.id in RETRY_FUNCTIONS:
            argument = call.args[3] if len(call.args) > 3 else _keyword(call, "event")
            details = tuple(key for key in named if key not in ("event", "logger", "rng"))
            event = _literal(argument) if argument is not None else None
            yield LogCall(call.lineno, event, "warning", ("error", *details))


def check_log_calls(source: SourceFile) -> RuleFindings:
    """Log calls whose event is not a constant of this form, or whose keys have other names."""
    if source.module == "tapewire.log.backoff":  # `retry` itself, which is given the event
        return
    for call in find_log_calls(source):
        if call.event is None or not EVENT_FORM.fullmatch(call.event):
            yield call.line, f"a log event is a literal like 'stream.opened', not {call.event!r}"
        for key in call.keys:
            if key in RESERVED_KEYS:
                yield call.line, f"the log key {key} is {RESERVED_KEYS[key]}"


def render_page(root: Path) -> str:
    """docs/logging.md for the code below `root`."""
    rows = _collect_rows(parse_sources(root))
    lines = [_INTRODUCTION]
    for component in sorted({event.partition(".")[0] for event in rows}):
        lines += [
            f"## {component}",
            "",
            "| event | level | keys | logged by |",
            "|---|---|---|---|",
        ]
        for event in sorted(rows):
            if event.partition(".")[0] == component:
                levels, keys, modules = rows[event]
                cells = (
                    f"`{event}`",
                    ", ".join(sorted(levels)),
                    ", ".join(f"`{key}`" for key in sorted(keys)),
                    ", ".join(f"`{module}`" for module in sorted(modules)),
                )
                lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


Row = tuple[set[str], set[str], set[str]]
"""Levels, keys and modules of one event."""


def _collect_rows(sources: Sequence[SourceFile]) -> dict[str, Row]:
    rows: dict[str, Row] = defaultdict(lambda: (set(), set(), set()))
    for source in sources:
        for call in find_log_calls(source):
            if call.event is not None:
                levels, keys, modules = rows[call.event]
                levels.add("error" if call.level == "exception" else call.level)
                keys.update(call.keys)
                modules.add(source.module)
    return dict(rows)


def _is_logger_call(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in LEVELS
        and ast.unparse(call.func.value).lower().endswith(("logger", "log", "getlogger()"))
    )


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((word.value for word in call.keywords if word.arg == name), None)


_INTRODUCTION = """\
# Log events

Every service writes its log to stderr: one JSON object a line with `TAPEWIRE_LOG_FORMAT=json`,
coloured text otherwise. `event` holds a constant of the form `component.what_happened`, which can
be searched for. This page lists all events. `python -m tests.architecture.log_events` generates it
from the code, and a test compares the two.

These keys mean the same in every line:

| key | meaning |
|---|---|
| `event` | the name of the event |
| `level` | `debug`, `info`, `warning` or `error` |
| `timestamp` | the time of the line, UTC, ISO 8601 |
| `service` | the service that wrote the line |
| `correlation_id` | the request or connection that the line belongs to (`X-Correlation-ID`) |
| `client_id` | one stream connection |
| `user_id` | the user whom the line concerns |
| `sequence` | the position of an event in the journal |
| `reason` | why something was rejected or closed |
| `error` | the text of an exception |
| `symbol` | a market symbol |
| `name` | a named thing: a subscription, lease, checkpoint or task |
"""


if __name__ == "__main__":
    sys.stdout.write(render_page(Path(__file__).parents[2]))
