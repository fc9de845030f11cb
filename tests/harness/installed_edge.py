"""An edge that is installed elsewhere, with pages of the test's own in place of built ones."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.harness.edge import EdgeProcess, Harness

ROOT = Path(__file__).parents[2]
WEB = Path("tapewire_services/edge/web")
"""The folder of pages, in an installation."""


def install_services(folder: Path, files: Mapping[str, str]) -> None:
    """Install all services into `folder`, with `files` as what `make pages` builds."""
    ignored = shutil.ignore_patterns("__pycache__", "dist")
    shutil.copytree(ROOT / "services", folder / "tapewire_services", ignore=ignored)
    for name, content in files.items():
        file = folder / WEB / "dist" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def start_installed_edge(harness: Harness, folder: Path) -> EdgeProcess:
    """Start an edge of the installation in `folder`."""
    return harness.start_edge(PYTHONPATH=os.pathsep.join([str(folder), str(ROOT / "libs")]))
