"""The cluster of tests starts although a chosen port is taken before its server listens."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from tests.harness.nats_cluster import (
    SERVERS,
    ServerEnded,
    ServerHost,
    local_hosts,
    run_nats_cluster,
)

pytestmark = pytest.mark.slow

NOTICED_WITHIN_SECONDS = 30.0
"""Half of the time that a start may take."""


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def first_choice_with(
    number: int, **ports: int
) -> tuple[list[Sequence[ServerHost]], Callable[[Path], Sequence[ServerHost]]]:
    """What was chosen so far, and a choice of hosts that has taken ports at first only."""
    chosen: list[Sequence[ServerHost]] = []

    def choose(folder: Path) -> Sequence[ServerHost]:
        hosts = local_hosts(folder)
        if not chosen:
            hosts[number] = msgspec.structs.replace(hosts[number], **ports)
        chosen.append(hosts)
        return hosts

    return chosen, choose


@pytest.mark.parametrize(
    ("kind", "number"), [("cluster_port", 0), ("cluster_port", SERVERS - 1), ("port", 1)]
)
def test_a_cluster_with_a_taken_port_starts_anew_with_others(
    tmp_path: Path, kind: str, number: int
) -> None:
    with taken_port() as port:
        chosen, choose = first_choice_with(number, **{kind: port})
        with run_nats_cluster(tmp_path, choose_hosts=choose) as cluster:
            assert cluster.running == frozenset(range(SERVERS))
            assert cluster.hosts == [*chosen[1]]
    assert len(chosen) == 2


def test_a_server_that_ends_on_a_given_host_is_named_at_once(tmp_path: Path) -> None:
    start = time.monotonic()
    with taken_port() as port:
        hosts = local_hosts(tmp_path)
        hosts[1] = msgspec.structs.replace(hosts[1], cluster_port=port)
        with (
            pytest.raises(ServerEnded, match=r"n1 ended with 1:(?s:.*)address already in use"),
            run_nats_cluster(tmp_path, hosts),
        ):
            raise AssertionError("it has started")
    assert time.monotonic() - start < NOTICED_WITHIN_SECONDS
