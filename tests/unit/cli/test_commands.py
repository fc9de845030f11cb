"""Behaviour of the commands that needs no server."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tapewire.cli import main
from tapewire.cli.settings import format_value
from tapewire.runtime.settings import describe

SETTINGS = {setting.env: setting for setting in describe()}


def run(*args: str, **env: str) -> Result:
    return CliRunner().invoke(main, args, env={**env})


def test_settings_lists_every_setting_with_its_meaning() -> None:
    out = run("settings").stdout
    lines = {line.split()[0].rstrip("*"): line for line in out.splitlines()[1:]}
    assert set(lines) == {setting.env for setting in describe()}
    assert all(setting.meaning in lines[setting.env] for setting in describe())


def test_settings_marks_values_that_differ_from_their_default() -> None:
    (line,) = [
        line
        for line in run("settings", SSE_FLUSH_MS="5").stdout.splitlines()
        if line[:9] == "SSE_FLUSH"
    ]
    assert line.split()[:3] == ["SSE_FLUSH_MS*", "5", "20"]


def test_documented_defaults_are_the_actual_defaults() -> None:
    lines = [line.split() for line in run("settings").stdout.splitlines()[1:]]
    defaults = {line[0].rstrip("*"): line[2] for line in lines}
    promised = {
        "SSE_KEEPALIVE_INTERVAL": "30",
        "SSE_RETRY_MS": "5000",
        "SSE_BUSY_FLUSH_MS": "100",
        "SSE_MAX_CONNECTIONS_PER_USER": "10",
        "SSE_CONNECT_RATE": "60",
        "SSE_QUIET_SECONDS": "300",
        "SSE_WRITE_SECONDS": "10",
        "SSE_GZIP": "true",
        "TAPEWIRE_TICKET_SECONDS": "30",
        "TAPEWIRE_SIGN_IN": "false",
        "TAPEWIRE_TOKEN_IN_QUERY": "false",
        "TAPEWIRE_COOKIE_SECURE": "true",
        "TAPEWIRE_USER_HEADER_FROM": "-",
        "TAPEWIRE_TRUSTED_PROXIES": "-",
        "TAPEWIRE_ORIGINS": "-",
    }
    assert {name: defaults[name] for name in promised} == promised


def test_a_ticket_lifetime_above_30_seconds_is_rejected() -> None:
    result = run("settings", TAPEWIRE_TICKET_SECONDS="31")
    assert result.exit_code == 2
    assert result.stderr.startswith("tapewire: TAPEWIRE_TICKET_SECONDS='31': ")


def test_an_invalid_value_is_reported_with_the_name_of_its_variable() -> None:
    result = run("settings", TAPEWIRE_SIGN_IN="maybe")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("tapewire: TAPEWIRE_SIGN_IN='maybe': ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        ("", "-"),
        ((), "-"),
        (("IBM", "SPY"), "IBM,SPY"),
        (1.0, "1"),
        (0.05, "0.05"),
        (262144, "262144"),
    ],
)
def test_values_are_formatted_as_in_the_environment(value: object, text: str) -> None:
    assert format_value(value, SETTINGS["TAPEWIRE_INSTANCE"]) == text


def test_secrets_are_masked() -> None:
    url = "nats://ann:hunter2@a:4222,nats://ann:hunter2@b:4222"
    assert "hunter2" not in format_value(url, SETTINGS["TAPEWIRE_NATS_URL"])
    assert "a:4222" in format_value(url, SETTINGS["TAPEWIRE_NATS_URL"])
    assert format_value("hunter2", SETTINGS["TAPEWIRE_JWT_SECRET"]) == "[redacted]"
    assert "hunter2" not in run("settings", TAPEWIRE_NATS_URL=url).stdout
    secret = "hunter2-" * 5
    assert "hunter2" not in run("settings", TAPEWIRE_JWT_SECRET=secret).stdout


def test_a_short_secret_is_rejected_without_printing_it() -> None:
    result = run("settings", TAPEWIRE_JWT_SECRET="hunter2")
    assert result.exit_code == 2
    assert "TAPEWIRE_JWT_SECRET='[redacted]'" in result.stderr
    assert "hunter2" not in result.stderr


def test_settings_that_are_not_secret_are_shown() -> None:
    assert format_value(30, SETTINGS["TAPEWIRE_TICKET_SECONDS"]) == "30"
    assert format_value(False, SETTINGS["TAPEWIRE_TOKEN_IN_QUERY"]) == "false"
    assert format_value("lax", SETTINGS["TAPEWIRE_COOKIE_SAME_SITE"]) == "lax"
    assert "TAPEWIRE_COOKIE_SAME_SITE='laxer': " in (
        run("settings", TAPEWIRE_COOKIE_SAME_SITE="laxer").stderr
    )
    assert format_value("", SETTINGS["TAPEWIRE_JWT_SECRET"]) == "-"


def test_an_unknown_service_is_an_error_that_lists_the_services() -> None:
    result = run("run", "ordres")
    assert result.exit_code == 2
    assert result.stderr.startswith("tapewire: there is no service 'ordres'; there are: ")
    assert {"edge", "orders", "prices"} <= set(
        result.stderr.rpartition(": ")[2].strip().split(", ")
    )


@pytest.mark.parametrize("command", ["provision", "status"])
def test_a_command_without_a_server_reports_the_address(command: str) -> None:
    result = run(command, "--nats", "nats://127.0.0.1:9", TAPEWIRE_NATS_WAIT="0.1")
    assert result.exit_code == 3
    assert "no NATS server answers at nats://127.0.0.1:9" in result.stderr


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["tail", "../session"], "'../session' is no name of a stream"),
        (["tail", "orders", "--since-id", "a b"], "--since-id='a b': must be the id of an event"),
        (["tail", "orders", "--since", "last week"], "--since='last week': must be a time"),
        (["tail", "orders", "--since", "1h", "--until", ""], "--until='': must be a time"),
        (["tail", "orders", "--since", "1h", "--since-id", "e-1"], "exclude each other"),
        (["tail", "orders", "--user", "a", "--session", "b"], "exclude each other"),
        *(
            (["tail", "orders", "--url", url], f"{url!r} is no URL of an edge")
            for url in ("http://[x", "127.0.0.1:8000", "ftp://x", "http://", "http://x:99999")
        ),
    ],
)
def test_invalid_arguments_of_tail_are_rejected(args: list[str], expected: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert expected in result.stderr


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["statsu"], "'status'"),
        (["jurnal", "status"], "'journal'"),
        (["journal", "backp"], "'backup'"),
        (["status", "--jsn"], "--json"),
        (["journal", "rebuild", "--veiw", "orders"], "--view"),
    ],
)
def test_a_misspelt_word_is_refused_with_what_was_meant(args: list[str], meant: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert "Did you mean" in result.stderr
    assert meant in result.stderr


def test_an_unknown_command_that_is_near_none_suggests_none() -> None:
    result = run("qqqqqq")
    assert result.exit_code == 2
    assert "No such command 'qqqqqq'.\n" in result.stderr


@pytest.mark.parametrize("command", ["settings", "completion bash", "protocol", "nats-config"])
def test_a_full_disk_is_one_line(command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tapewire.cli", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "the output cannot be written: No space left on device"
    )
    assert "Traceback" not in done.stderr
