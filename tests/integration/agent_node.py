"""A node agent on the real engine: crun, conmon, namespaces, mounts; a busybox root stands in for an image."""

import os
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from wherry.container.runtime.crun_engine import CrunEngine
from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.network.sandbox_network import SandboxNetwork
from wherry.infrastructure.network.settings import NetworkSettings
from wherry.orchestration.agent.volumes.mount_door import LinuxMounts
from wherry.testing.ranges import some_subnet

APPLETS = ("sh", "sleep", "cat", "echo", "true", "false", "id", "ls", "stat", "wget", "httpd", "hostname", "touch", "env", "readlink", "nslookup", "test", "printf", "mount", "grep", "head", "trap", "kill", "tail", "seq", "dd", "rm")


class BusyboxLayers:
    """One layer with busybox for every image id."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "busybox"
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "root"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        (self._root / "tmp").chmod(0o1777)
        shutil.copy("/usr/bin/busybox", self._root / "bin" / "busybox")
        for applet in APPLETS:
            if not (self._root / "bin" / applet).exists():
                (self._root / "bin" / applet).symlink_to("busybox")
        (self._root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\napp:x:7:7::/:/bin/sh\n")

    async def layers(self, image_id: str) -> tuple[str, ...]:
        return (str(self._root),)

    async def config(self, image_id: str) -> dict[str, Any]:
        return {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]}}


class RealNode:
    """Folders and names of one node; `engine()` may be called again to play a restart."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex[:6]
        self.run_dir = Path(f"/run/wat-{self.id}")
        self.folder = Path(f"/var/tmp/wat-{self.id}")
        self.folder.mkdir()
        self.layers = BusyboxLayers(self.folder)
        own = some_subnet()
        self.network = NetworkSettings(
            self.id, self.folder / "addresses", own, (own.supernet(new_prefix=16),)
        )
        self.settings = RuntimeSettings(self.run_dir, self.folder / "engine", f"wat-{self.id}")

    def engine(self) -> CrunEngine:
        return CrunEngine(self.settings, SandboxNetwork(self.network), self.layers)

    async def clean(self, engine: CrunEngine) -> None:
        await engine.destroy_all()
        for point in LinuxMounts().below(self.folder):
            LinuxMounts().unmount(point)
        assert not LinuxMounts().below(self.folder)
        shutil.rmtree(self.folder)
        shutil.rmtree(self.run_dir, ignore_errors=True)


@asynccontextmanager
async def real_node() -> AsyncIterator[tuple[RealNode, list[CrunEngine]]]:
    """The node and the list of its engines, of which the last one cleans up."""
    node = RealNode()
    engines = [node.engine()]
    try:
        yield node, engines
    finally:
        await node.clean(engines[-1])


def mounts_of(name: str) -> list[str]:
    """Lines of the mount table that speak of `name`."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]


def is_root() -> bool:
    return os.geteuid() == 0
