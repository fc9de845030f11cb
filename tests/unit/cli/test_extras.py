"""Extras of pip that are not installed: help always works, and a command that needs one names it.

The commands run in a process in which the modules of the extras cannot be imported, and in whose
path there is no nats-server.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from tapewire.cli import COMMANDS
from tapewire.extras import EXTRA_MODULES

MODULES = {
    **EXTRA_MODULES,
    "edge": (*EXTRA_MODULES["edge"], "uvloop"),
    "embedded": (),
    "testing": ("pytest", "pytest_asyncio", "_pytest"),
}
PROGRAM = """
import json, os, sys
modules, commands = json.loads(sys.argv[1])
for name in modules:
    sys.modules[name] = None
sys.executable = "/nowhere/python"
os.environ["PATH"] = "/nowhere"
os.execv = lambda *_: sys.exit("became a service")
from click.testing import CliRunner
from tapewire.cli import main
found = []
for words, environment in commands:
    result = CliRunner().invoke(main, words, env=environment)
    found.append((words, result.exit_code, result.output, repr(result.exception)))
print(json.dumps(found))
"""
Command = tuple[list[str], dict[str, str]]
HELP: list[Command] = [([], {}), (["--help"], {}), *(([name, "--help"], {}) for name in COMMANDS)]
UP = ["up", "--port", "0", "--data-dir", "DIR"]
WATCH = ["provision", "--watch", "--nats", "nats://127.0.0.1:1"]
PROBES = {"TAPEWIRE_HEALTH_PORT": "1234"}


def run_without(extras: list[str], commands: list[Command], tmp_path: Any) -> list[Any]:
    modules = [name for extra in extras for name in MODULES[extra]]
    argument = json.dumps([modules, commands]).replace('"DIR"', json.dumps(str(tmp_path / "data")))
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, argument],
        capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path,
    )  # fmt: skip
    return list(json.loads(result.stdout.splitlines()[-1]))


def test_help_needs_no_extra(tmp_path: Any) -> None:
    for words, code, output, error in run_without([*MODULES], HELP, tmp_path):
        assert ("Usage: " in output, code in (0, 2)) == (True, True), (words, output, error)
        assert code == 0 or words == [], (words, output, error)


@pytest.mark.parametrize(
    ("extra", "commands"),
    [
        ("edge", [(UP, {}), (["run", "edge"], {}), (WATCH, PROBES)]),
        ("insights", [(UP, {}), (["run", "insights"], {})]),
        ("embedded", [(UP, {})]),
    ],
)
def test_a_command_names_the_extra_that_it_needs(
    extra: str, commands: list[Command], tmp_path: Any
) -> None:
    for words, code, output, error in run_without([extra], commands, tmp_path):
        assert code == 2, (words, output, error)
        assert output.startswith("tapewire: "), output
        assert f"pip install 'tapewire[{extra}]'" in output
        assert output.count("\n") == 1


def test_a_command_that_needs_no_extra_runs_without_them(tmp_path: Any) -> None:
    commands: list[Command] = [
        (["settings"], {}),
        (["protocol"], {}),
        (["nats-config"], {}),
        (["run", "orders"], {}),
    ]
    *rest, service = run_without([*MODULES], commands, tmp_path)
    for words, code, output, error in rest:
        assert code == 0, (words, output, error)
    assert service[2] == "became a service\n", service
