"""The wheel: its contents, its requirements, and the modules that importing it loads.

The wheel is built from the files that `.dockerignore` allows, like the image, and installed into a
new virtual environment. A `.pth` file adds the dependencies from the environment of the tests.
Without built pages there is no wheel, and a source distribution has them, too.
"""

import email.message
import email.parser
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.deploy.manifests import ROOT
from tests.harness.pages import CLIENT_MODULES, build_terminal

TIMEOUT_SECONDS = 120
SERVICES = {"alerts", "edge", "insights", "orders", "positions", "prices", "strategies"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `.dockerignore` allows, with built pages."""
    build_terminal()
    context = tmp_path_factory.mktemp("context")
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        source = ROOT / line.removeprefix("!")
        if not line.startswith("!") or not source.exists():
            continue
        if source.is_dir():
            ignored = shutil.ignore_patterns(
                "__pycache__", "*.pyc", ".keep", "node_modules", "build"
            )
            shutil.copytree(source, context / source.name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, context)
    return context


@pytest.fixture(scope="module")
def wheel(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    _run(sys.executable, "-m", "pip", "wheel", "-q", *options, "-w", str(folder), str(context))
    [built] = folder.glob("tapewire-*.whl")
    return built


@pytest.fixture(scope="module")
def files(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    return email.parser.Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of a virtual environment with the wheel installed."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-q"]
    _run(*pip, "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel))
    [site_packages] = folder.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def test_the_wheel_has_only_the_two_top_level_packages(files: set[str]) -> None:
    top_level = {name.partition("/")[0] for name in files}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {
        "tapewire",
        "tapewire_services",
    }


def test_an_editable_install_copies_no_code(tmp_path: Path) -> None:
    """Copies in site-packages would hide every later change of the checkout."""
    names = _names(_build_distribution("editable", ROOT, tmp_path))
    assert not [name for name in names if name.endswith((".py", ".html", ".js"))]


def test_the_wheel_contains_every_service_the_pages_and_the_browser_client(files: set[str]) -> None:
    mains = {
        name.split("/")[1]
        for name in files
        if re.fullmatch(r"tapewire_services/\w+/__main__\.py", name)
    }
    assert mains == SERVICES
    web = "tapewire_services/edge/web"
    expected = {f"{web}/{path.name}" for path in (ROOT / "services/edge/web").glob("*.*")}
    expected |= {f"{web}/client/{name}" for name in _relative_names(CLIENT_MODULES, "*.js")}
    expected |= {f"{web}/dist/{name}" for name in _relative_names(build_terminal(), "[!.]*")}
    assert f"{web}/client/tapewire.js" in files
    assert f"{web}/dist/index.html" in files
    assert expected - files == set()
    assert "tapewire/py.typed" in files


def test_the_wheel_has_no_sources_of_the_pages_and_no_traces_of_their_build(
    files: set[str],
) -> None:
    endings = (".ts", ".tsx", ".map", ".fingerprint", ".tsbuildinfo", "package.json")
    assert [name for name in files if name.endswith(endings)] == []


def test_a_wheel_from_a_source_distribution_has_the_same_files(
    files: set[str], tmp_path: Path
) -> None:
    archive = _build_distribution("sdist", ROOT, tmp_path)
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path)  # noqa: S202 - built here; 3.11.2 has no `filter`
    unpacked = archive.with_name(archive.name.removesuffix(".tar.gz"))
    assert _names(_build_distribution("wheel", unpacked, tmp_path)) == files


@pytest.mark.parametrize("folder", ["services/edge/web/dist", "libs/client/packages/client/dist"])
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_without_the_built_pages_nothing_is_built(
    context: Path, tmp_path: Path, kind: str, folder: str
) -> None:
    built = context / folder
    built.rename(tmp_path / "away")
    try:
        error = _build_error(kind, context, tmp_path)
    finally:
        (tmp_path / "away").rename(built)
    assert f"{folder} is not built: run `make pages`" in error


def test_a_wheel_is_not_built_with_pages_that_are_older_than_their_sources(
    context: Path, tmp_path: Path
) -> None:
    source = context / "libs/client/terminal/index.html"
    before = source.read_bytes()
    source.write_bytes(before + b"\n")
    try:
        error = _build_error("wheel", context, tmp_path)
    finally:
        source.write_bytes(before)
    assert "services/edge/web/dist is older than its sources: run `make pages`" in error


def test_an_editable_install_needs_no_built_pages(context: Path, tmp_path: Path) -> None:
    built = context / "services/edge/web/dist"
    built.rename(tmp_path / "away")
    try:
        assert _names(_build_distribution("editable", context, tmp_path))
    finally:
        (tmp_path / "away").rename(built)


def test_only_the_extra_edge_requires_a_web_server(metadata: email.message.Message) -> None:
    required: dict[str, set[str]] = {}
    for requirement in metadata.get_all("Requires-Dist", []):
        extra = re.search(r"extra == ['\"](\w+)['\"]", requirement)
        package = re.split(r"[\s\[<>=;~!]", requirement)[0].lower()
        required.setdefault(extra[1] if extra else "", set()).add(package)
    assert not required[""] & {"litestar", "uvicorn", "uvloop", "httptools", "pyjwt"}
    assert {"litestar", "uvicorn"} <= required["edge"]
    assert "nats-py" in required[""]


def test_importing_the_client_loads_no_service_and_no_web_server(environment: Path) -> None:
    program = """
import sys
import tapewire
tapewire.connect, tapewire.sync.connect
print(tapewire.__file__)
print(*{name.partition(".")[0] for name in sys.modules})
"""
    file, modules = _run(str(environment / "python"), "-c", program).splitlines()
    assert Path(file).is_relative_to(environment.parent)
    assert not set(modules.split()) & {"litestar", "uvicorn", "tapewire_services"}


def test_the_installed_command_finds_the_installed_services(environment: Path) -> None:
    program = "from tapewire.cli.run import installed_services; print(*installed_services())"
    assert set(_run(str(environment / "python"), "-c", program).split()) == SERVICES
    assert "tapewire " in _run(str(environment / "tapewire"), "--version")


def _relative_names(folder: Path, pattern: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob(pattern) if path.is_file()}


def _names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def _build_distribution(kind: str, source: Path, folder: Path) -> Path:
    done = _call_backend(kind, source, folder)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def _build_error(kind: str, source: Path, folder: Path) -> str:
    done = _call_backend(kind, source, folder)
    assert done.returncode != 0
    return done.stderr.splitlines()[-1]


def _call_backend(kind: str, source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    program = f"import hatchling.build as b; print(b.build_{kind}({str(folder)!r}))"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def _run(*command: str) -> str:
    """Run a command outside of the checkout, and return its output."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        cwd="/", env={"PATH": sysconfig.get_path("scripts")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
