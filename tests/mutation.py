"""Broken copies of the real modules, which the tests must catch; otherwise they prove nothing."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def mutant(module: ModuleType, old: str, new: str) -> Any:
    """A copy of `module` whose source has `new` in place of its one `old`."""
    assert module.__file__ is not None
    source = Path(module.__file__).read_text()
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
    name = f"{module.__name__}__mutant"
    spec = importlib.util.spec_from_loader(name, loader=None)
    assert spec is not None
    broken = importlib.util.module_from_spec(spec)
    sys.modules[name] = broken
    try:
        exec(compile(source.replace(old, new), f"<{name}>", "exec"), broken.__dict__)  # noqa: S102
    finally:
        del sys.modules[name]
    return broken
