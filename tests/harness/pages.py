"""The built modules of the browser's side, and Node, for tests that need them.

`make pages` builds them. A test that runs without it builds them here, with the same program.
"""

import functools
import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "libs/client/packages/client"
_spec = importlib.util.spec_from_file_location("workspace", ROOT / "libs/client/workspace.py")
assert _spec is not None
assert _spec.loader is not None
workspace = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(workspace)

NPM_TIMEOUT_SECONDS = 300
CLIENT_MODULES: Path = workspace.CLIENT.output
"""What an edge serves under `/client/`."""
CLIENT_TESTS = workspace.Build(
    "@tapewire/client",
    "test:modules",
    ("packages/client", "packages/client/tests"),
    CLIENT / "build" / "tests",
)
CLIENT_TEST_MODULES: Path = CLIENT_TESTS.output
"""The client's cases, for a browser."""


@functools.cache
def find_node() -> list[str]:
    """The command of Node: that of the environment's wheel, or of the machine; [] for none."""
    try:
        return [workspace.find_node().program]
    except workspace.WorkspaceError:
        return []


@functools.cache
def build_pages() -> Path:
    """Build the client's modules unless they are built; return their folder.

    Skips the test where they are not built, and cannot be without Node or npm's registry.
    """
    return _build(workspace.CLIENT)


@functools.cache
def build_terminal() -> Path:
    """As `build_pages`, and build the terminal; return its folder."""
    build_pages()
    return _build(workspace.PAGES)


@functools.cache
def build_client_tests() -> Path:
    """As `build_pages`, and build the client's cases; return the folder of these."""
    build_pages()
    return _build(CLIENT_TESTS)


def run_npm(folder: Path, *arguments: str, **variables: str) -> None:
    """Run npm in a folder. Fails the test with npm's output."""
    node = workspace.find_node()
    done = subprocess.run(
        [*node.npm, *arguments],
        cwd=folder,
        env={**workspace.npm_environment(node), **variables},
        capture_output=True,
        text=True,
        timeout=NPM_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"npm {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"


def _build(build: Any) -> Path:
    try:
        workspace.build_pages([build])
    except workspace.PackagesMissing as error:
        pytest.skip(str(error))
    output: Path = build.output
    return output
