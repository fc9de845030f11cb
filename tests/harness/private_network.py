"""Hosts with network interfaces of their own, for servers that tests cut off.

Everything lies in a network namespace and a mount namespace that belong to this test run and end
with it; `tests/cluster/isolated.sh` starts a test run in such. Each host is a network namespace in
there, linked to a bridge that the test run itself is on. Start at `PrivateNetwork`.
"""

import os
import subprocess
from pathlib import Path

from tests.harness.nats_cluster import ServerHost

IS_AVAILABLE = bool(os.environ.get("TAPEWIRE_TEST_PRIVATE_NETWORK"))
"""Whether this test run has such namespaces, so that it may change its network and its mounts."""
WHY_UNAVAILABLE = (
    "no network namespaces here: that needs root or user namespaces, unshare and iproute2, "
    "and `make cluster`"
)
BRIDGE = "hub"
NETWORK = "10.77.0"
CLIENT_PORT, CLUSTER_PORT = 4222, 6222


class PrivateNetwork:
    """`count` hosts and their disks of `disk_bytes`, which lie in `folder`."""

    def __init__(self, folder: Path, count: int, disk_bytes: int) -> None:
        run_command("ip", "link", "add", BRIDGE, "type", "bridge")
        run_command("ip", "address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        run_command("ip", "link", "set", BRIDGE, "up")
        self.hosts = [self._add_host(folder, number, disk_bytes) for number in range(count)]

    def _add_host(self, folder: Path, number: int, disk_bytes: int) -> ServerHost:
        name, link, address = f"n{number}", _link(number), f"{NETWORK}.{10 + number}"
        run_command("ip", "netns", "add", name)
        run_command(
            "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name
        )
        run_command("ip", "link", "set", link, "master", BRIDGE, "up")
        run_command("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        run_command("ip", "-n", name, "link", "set", "eth0", "up")
        run_command("ip", "-n", name, "link", "set", "lo", "up")
        store = folder / name
        store.mkdir()
        run_command("mount", "-t", "tmpfs", "-o", f"size={disk_bytes}", "tmpfs", str(store))
        return ServerHost(
            address=address,
            port=CLIENT_PORT,
            cluster_port=CLUSTER_PORT,
            store=store,
            command_prefix=("nsenter", f"--net=/run/netns/{name}"),
        )

    def cut_off(self, number: int) -> None:
        """Lose every packet to and from a host. Its connections stay open."""
        run_command("ip", "link", "set", _link(number), "down")

    def reconnect(self, number: int) -> None:
        run_command("ip", "link", "set", _link(number), "up")

    def separate_hosts(self) -> None:
        """Lose every packet between hosts; each still reaches the test run."""
        self._set_isolated("on")

    def join_hosts(self) -> None:
        self._set_isolated("off")

    def _set_isolated(self, state: str) -> None:
        for number in range(len(self.hosts)):
            run_command("bridge", "link", "set", "dev", _link(number), "isolated", state)

    def mute(self, number: int) -> None:
        """Lose every packet that a host sends; it still receives."""
        run_command("ip", "-n", f"n{number}", "route", "add", "blackhole", f"{NETWORK}.0/25")
        run_command("ip", "-n", f"n{number}", "route", "add", "blackhole", f"{NETWORK}.128/25")

    def unmute(self, number: int) -> None:
        run_command("ip", "-n", f"n{number}", "route", "delete", "blackhole", f"{NETWORK}.0/25")
        run_command("ip", "-n", f"n{number}", "route", "delete", "blackhole", f"{NETWORK}.128/25")

    def close(self) -> None:
        """Remove the hosts. Their servers must have ended."""
        for number, host in enumerate(self.hosts):
            run_command("umount", str(host.store))
            run_command("ip", "netns", "delete", f"n{number}")
        run_command("ip", "link", "delete", BRIDGE)


def _link(number: int) -> str:
    return f"host{number}"


def run_command(*command: str) -> None:
    """Run a command. Raises AssertionError with its output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
