"""Lets no wheel be built without the pages, which it carries so that it needs no Node.

hatchling calls the hook (`tool.hatch.build.hooks` in pyproject.toml) for the wheel and the source
distribution. An editable install serves the pages of the checkout, whenever they are built.
"""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PagesHook(BuildHookInterface[Any]):
    """Checks that the pages are built from the sources that are here."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Raise RuntimeError if the pages are missing, or older than their sources."""
        if version == "editable":
            return
        path = Path(__file__).with_name("workspace.py")
        spec = importlib.util.spec_from_file_location("workspace", path)
        assert spec is not None  # noqa: S101  # for the type checker
        assert spec.loader is not None  # noqa: S101
        workspace = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(workspace)
        for build in workspace.BUILDS:
            if not workspace.is_current(build):
                folder = build.output.relative_to(workspace.CHECKOUT)
                fault = "is older than its sources" if folder.exists() else "is not built"
                raise RuntimeError(f"{folder} {fault}: run `make pages`, then build Tapewire again")
