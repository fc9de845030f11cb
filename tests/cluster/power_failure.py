"""Disks that keep, after a loss of power, only what was written to them.

Each store is a file system in a file. What the kernel holds back in its memory is not in that
file, so a copy of it is what a disk holds when the power goes. Needs root, loop devices and
mkfs.ext4, and the mount namespace of `isolated.sh`.
"""

import subprocess
from pathlib import Path

from tests.harness.nats_cluster import NatsCluster
from tests.harness.private_network import IS_AVAILABLE, run_command

DISK_BYTES = 192 << 20


def why_unavailable(folder: Path) -> str | None:
    """Why such disks cannot be had here; None if they can."""
    if not IS_AVAILABLE:
        return "no mount namespace here: that needs root, and `make cluster`"
    try:
        disk = VolatileDisk(folder / "try")
    except (AssertionError, OSError) as error:
        return f"no file system in a file here: {error}"
    disk.close()
    return None


class VolatileDisk:
    """A file system mounted at `mount_point`, which it creates."""

    def __init__(self, mount_point: Path) -> None:
        self.mount_point = mount_point
        self._image = mount_point.with_suffix(".img")
        with self._image.open("wb") as file:
            file.truncate(DISK_BYTES)
        run_command("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", str(self._image))
        mount_point.mkdir()
        self._mount()

    def _mount(self) -> None:
        run_command("mount", "-o", "loop", str(self._image), str(self.mount_point))

    def flush(self) -> None:
        """Write everything to the disk, as the kernel does in time."""
        subprocess.run(["sync", "-f", str(self.mount_point)], check=True)

    def lose_power(self, cluster: NatsCluster, number: int) -> None:
        """Kill server `number`, whose store this is, and lose what was not written to the disk."""
        cluster.kill(number)
        written = self._image.with_suffix(".written")
        run_command("cp", "--sparse=always", str(self._image), str(written))
        self.close()
        written.replace(self._image)
        self._mount()

    def close(self) -> None:
        run_command("umount", str(self.mount_point))
