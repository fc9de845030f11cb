"""The wheel: its contents, its requirements, and the modules that importing it loads.

The wheel is built from the files that `.dockerignore` allows, like the image, and installed into a
new virtual environment. A `.pth` file adds the dependencies from the environment of the tests.
"""

import email.message
import email.parser
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.deploy.manifests import ROOT
from tests.harness.pages import CLIENT_MODULES, build_pages

TIMEOUT_SECONDS = 120
SERVICES = {"alerts", "edge", "insights", "orders", "positions", "prices", "strategies"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build_pages()
    context = tmp_path_factory.mktemp("context")
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        source = ROOT / line.removeprefix("!")
        if not line.startswith("!") or not source.exists():
            continue
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".keep", "node_modules")
            shutil.copytree(source, context / source.name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, context)
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
    program = f"import hatchling.build; print(hatchling.build.build_editable({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = zipfile.ZipFile(tmp_path / done.stdout.strip()).namelist()
    assert not [name for name in names if name.endswith(".py")]


def test_the_wheel_contains_every_service_the_pages_and_the_browser_client(files: set[str]) -> None:
    mains = {
        name.split("/")[1]
        for name in files
        if re.fullmatch(r"tapewire_services/\w+/__main__\.py", name)
    }
    assert mains == SERVICES
    web = "tapewire_services/edge/web"
    expected = {f"{web}/{path.name}" for path in (ROOT / "services/edge/web").glob("*.*")}
    expected |= {f"{web}/client/{path.name}" for path in CLIENT_MODULES.glob("*.js")}
    assert expected - files == set()
    assert "tapewire/py.typed" in files


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


def _run(*command: str) -> str:
    """Run a command outside of the checkout, and return its output."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        cwd="/", env={"PATH": sysconfig.get_path("scripts")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
