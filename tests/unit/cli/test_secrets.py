"""No command prints a secret of its environment, its options or its files, whatever fails."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from tapewire.cli import main
from tapewire.runtime import logging_setup
from tests.harness.nkeys import USER_SEED

TAPEWIRE = (sys.executable, "-P", "-m", "tapewire.cli")
ABSENT = "127.0.0.1:1"
"""Nothing listens there."""

SECRETS = {
    "password": "pass-W0rd.one",
    "second password": "pass-W0rd.two",
    "token": "t0ken-of-nats",
    "header": "otlp-key-4711",
    "jwt": "jwt-secret-of-thirty-two-characters",
    "session": "session-cookie-0815",
    "file": "passw0rd-in-a-file",
}
ENVIRONMENT = {
    "TAPEWIRE_NATS_URL": f"nats://me:{SECRETS['password']}@{ABSENT},"
    f"nats://me:{SECRETS['second password']}@{ABSENT},nats://{SECRETS['token']}@{ABSENT}",
    "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRETS['header']},other=1",
    "TAPEWIRE_JWT_SECRET": SECRETS["jwt"],
    "TAPEWIRE_SESSION": SECRETS["session"],
    "TAPEWIRE_NATS_WAIT": "0.2",
}
NOTE = ("--user", "ann", "--title", "hello")
ITEM = ("--title", "hello", "--source", "me")
COMMANDS = {
    "provision": ("provision",),
    "verify": ("verify",),
    "status": ("status",),
    "status --json": ("status", "--json"),
    "notify": ("notify", *NOTE),
    "items add": ("items", "add", *ITEM),
    "items load": ("items", "load", "-"),
    "tail": ("tail", "orders", "--url", f"http://me:{SECRETS['password']}@{ABSENT}"),
    "settings": ("settings",),
    "nats-config": ("nats-config",),
    "protocol": ("protocol",),
    "run": ("run", "orders"),
    "run edge": ("run", "edge"),
    "up": ("up", "--port", "0", "--nats", f"nats://me:{SECRETS['password']}@{ABSENT}"),
}


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a secret that an earlier test's command knew would be masked in this one's."""
    monkeypatch.setattr(logging_setup, "_known_secrets", [])


def run_here(args: Sequence[str], env: Mapping[str, str]) -> str:
    """Return what a command printed that was run in this process, which takes less time."""
    result = CliRunner().invoke(main, [*args], env={**env})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def run(args: Sequence[str], env: Mapping[str, str], folder: Path) -> str:
    """Return what a command printed, on both streams."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TAPEWIRE_")}
    done = subprocess.run(
        [*TAPEWIRE, *args],
        env={**clean, **env},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        input="",
    )
    return done.stdout + done.stderr


def leaked(output: str) -> list[str]:
    return [name for name, secret in SECRETS.items() if secret in output]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_command_prints_a_secret_when_nothing_can_be_reached(
    command: Sequence[str], tmp_path: Path
) -> None:
    if command[0] == "tail":
        # It would try for ever; an edge that is no edge ends it.
        command = (*command, "--since-id", "not an id")
    output = run(command, ENVIRONMENT, tmp_path)
    assert output.strip()
    assert leaked(output) == []
    assert "me:" not in output


@pytest.mark.parametrize(
    "url",
    [
        "nats://me:{secret}/x@127.0.0.1:1",
        "nats://me:{secret}@home@127.0.0.1:1",
        "nats://me:a,{secret}@127.0.0.1:1",
        "nats://127.0.0.1:1,me:{secret}@127.0.0.1:1",
        "me:{secret}@127.0.0.1:1",
        "nats://me:{secret}@127.0.0.1:notaport",
        "nats://me:{secret}@127.0.0.1:99999",
        "nats://me:{secret}@",
        "http://me:{secret}@127.0.0.1:1",
        "nats://{secret}@127.0.0.1:1",
        "nats://me:{secret} x@127.0.0.1:1",
    ],
)
@pytest.mark.parametrize("way", ["option", "variable", "argument"])
def test_a_malformed_url_is_reported_without_its_password(url: str, way: str) -> None:
    """The regression: nats-py raised an error that quotes what it took for the port."""
    given = url.format(secret=SECRETS["password"])
    env = {"TAPEWIRE_NATS_WAIT": "0.2"}
    args: tuple[str, ...] = ("status",)
    if way == "variable":
        env["TAPEWIRE_NATS_URL"] = given
    else:
        args = (*args, "--nats", given) if way == "option" else (*args, given)
    output = run_here(args, env)
    assert leaked(output) == []
    assert output.strip()


@pytest.mark.parametrize(
    ("variables", "content"),
    [
        ({"TAPEWIRE_NATS_USER": "me", "TAPEWIRE_NATS_PASSWORD_FILE": "file"}, SECRETS["file"]),
        ({"TAPEWIRE_NATS_TOKEN_FILE": "file"}, SECRETS["file"]),
        ({"TAPEWIRE_NATS_TOKEN_FILE": "file"}, f"{SECRETS['file']}\nanother line"),
        ({"TAPEWIRE_NATS_NKEY": "file"}, USER_SEED),
        ({"TAPEWIRE_NATS_NKEY": "file"}, USER_SEED[:-1] + "A"),
        ({"TAPEWIRE_NATS_NKEY": "file"}, USER_SEED[:-4]),
        ({"TAPEWIRE_NATS_CREDS": "file"}, USER_SEED),
        ({"TAPEWIRE_NATS_CA": "file"}, SECRETS["file"]),
        ({"TAPEWIRE_NATS_CERT": "file", "TAPEWIRE_NATS_KEY": "file"}, SECRETS["file"]),
    ],
    ids=["password", "token", "two lines", "nkey", "checksum", "short", "creds", "ca", "cert"],
)
def test_no_command_prints_the_content_of_a_credential_file(
    variables: Mapping[str, str], content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text(content)
    env = {"TAPEWIRE_NATS_WAIT": "0.1", "TAPEWIRE_NATS_URL": f"nats://{ABSENT}", **variables}
    output = run_here(("status",), env)
    assert output.startswith("tapewire: ")
    assert SECRETS["file"] not in output
    assert USER_SEED[2:20] not in output


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TAPEWIRE_NATS_PASSWORD_FILE": "file"}, "a password file a user"),
        ({"TAPEWIRE_NATS_USER": "me"}, "a user needs a password file"),
        ({"TAPEWIRE_NATS_CERT": "file"}, "a client certificate needs its key"),
        (
            {"TAPEWIRE_NATS_TOKEN_FILE": "file", "TAPEWIRE_NATS_NKEY": "file"},
            "token and nkey are given",
        ),
        ({"TAPEWIRE_NATS_TOKEN_FILE": "absent"}, "'absent' cannot be read: No such file"),
        ({"TAPEWIRE_NATS_CA": "absent"}, "'absent' cannot be used for TLS: No such file"),
    ],
)
def test_credentials_that_cannot_work_end_the_process_with_the_reason(
    variables: Mapping[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("something")
    env = {"TAPEWIRE_NATS_WAIT": "5", "TAPEWIRE_NATS_URL": f"nats://{ABSENT}", **variables}
    assert message in run_here(("status",), env)


def test_a_service_whose_credentials_cannot_work_ends_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(f"{SECRETS['file']}\nanother line")
    env = {"TAPEWIRE_NATS_URL": f"nats://{ABSENT}", "TAPEWIRE_NATS_TOKEN_FILE": "file"}
    output = run(("run", "orders"), env, tmp_path)
    assert "'file' must have one line" in output
    assert "Traceback" not in output
    assert leaked(output) == []


def test_the_traceback_of_a_failed_command_has_no_secret(tmp_path: Path) -> None:
    program = (
        "import sys, click, tapewire.cli as cli\n"
        "from tapewire.runtime.settings import Settings\n"
        "secret = sys.argv.pop()\n"
        "def fail(): Settings.from_env(); raise RuntimeError('cannot use ' + secret)\n"
        "cli.LazyGroup.get_command = lambda *_: click.Command('status', callback=fail)\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "status", SECRETS["password"]],
        env={**os.environ, **ENVIRONMENT},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "RuntimeError: cannot use [redacted]" in done.stderr
    assert leaked(done.stdout + done.stderr) == []
