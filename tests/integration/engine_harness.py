"""A real engine in folders, a cgroup, a network and tables of its own, over a root of static busybox; nothing stays behind."""

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from wherry.container.runtime.crun_engine import CrunEngine
from wherry.container.runtime.engine import ContainerConfig, ContainerStatus, SandboxConfig, State
from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.network.sandbox_network import SandboxNetwork
from wherry.infrastructure.network.settings import NetworkSettings
from wherry.testing.ranges import some_subnet

PATIENCE_S = 20.0
BUSYBOX = "/bin/busybox"


def make_layer(folder: Path) -> Path:
    """A root file system of about 2 MB."""
    for name in ("bin", "etc", "tmp", "root", "home/app"):
        (folder / name).mkdir(parents=True)
    (folder / "tmp").chmod(0o1777)
    shutil.copy(shutil.which("busybox") or BUSYBOX, folder / "bin" / "busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in applets:
        if name != "busybox":
            (folder / "bin" / name).symlink_to("busybox")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\napp:x:1001:\nextra:x:2000:app\n")
    return folder


class Layers:
    """One image, whatever its id."""

    def __init__(self, *folders: Path, config: dict[str, Any] | None = None) -> None:
        self._folders = tuple(str(folder) for folder in folders)
        self._config = config or {}

    async def layers(self, image_id: str) -> tuple[str, ...]:
        return self._folders

    async def config(self, image_id: str) -> dict[str, Any]:
        return {"config": self._config}


class Harness:
    """An engine and short ways to use it."""

    def __init__(self, folder: Path, tag: str = "", addresses: IPv4Network | None = None) -> None:
        self.tag = tag or f"{random.randrange(16**6):06x}"
        self.addresses = addresses or some_subnet()
        self.folder = folder
        layer = folder / "layer"
        if not layer.exists():
            make_layer(layer)
        self.layers = Layers(layer, config={"Env": ["FROM_IMAGE=yes"], "StopSignal": "SIGTERM"})
        self.run_dir = Path(f"/run/wherry-t-{self.tag}")
        self.cgroup_root = f"wherry-t-{self.tag}"
        self.network_settings = NetworkSettings(
            self.tag,
            folder / "addresses.json",
            addresses=self.addresses,
            not_masqueraded=(self.addresses.supernet(new_prefix=16),),
        )
        self.network = SandboxNetwork(self.network_settings)
        self.settings = RuntimeSettings(self.run_dir, folder / "data", self.cgroup_root)
        self.engine = CrunEngine(self.settings, self.network, self.layers)

    def log_path(self, container_id: str) -> Path:
        return self.folder / "logs" / f"{container_id}.log"

    def log(self, container_id: str) -> list[tuple[str, str, str]]:
        """(stream, tag, text) of each line."""
        lines = self.log_path(container_id).read_text().splitlines()
        return [(f[1], f[2], f[3] if len(f) > 3 else "") for f in (line.split(" ", 3) for line in lines)]

    def text(self, container_id: str, stream: str = "stdout") -> str:
        """What the container wrote."""
        return "".join(text + ("\n" if tag == "F" else "") for name, tag, text in self.log(container_id) if name == stream)

    async def sandbox(self, sandbox_id: str = "box", **more: Any) -> None:
        await self.engine.create_sandbox(
            SandboxConfig(sandbox_id, more.pop("hostname", "boxhost"), more.pop("cgroup_parent", f"pods/{sandbox_id}"), **more)
        )

    async def create(self, container_id: str = "one", script: str = "true", sandbox_id: str = "box", **more: Any) -> None:
        command = more.pop("command", ("sh", "-c", script))
        await self.engine.create_container(
            ContainerConfig(
                container_id, sandbox_id, more.pop("name", "main"), 0, "sha256:image", str(self.log_path(container_id)),
                command=command, **more,
            )  # fmt: skip
        )

    async def start(self, container_id: str = "one", script: str = "true", sandbox_id: str = "box", **more: Any) -> None:
        await self.create(container_id, script, sandbox_id, **more)
        await self.engine.start_container(container_id)

    async def run(self, script: str, container_id: str = "one", **more: Any) -> str:
        """Run to the end in sandbox `box`; return stdout. stderr is for `text`."""
        if not any(s.id == "box" for s in await self.engine.sandboxes()):
            await self.sandbox()
        await self.start(container_id, script, **more)
        await self.ended(container_id)
        return self.text(container_id)

    async def ended(self, container_id: str = "one") -> ContainerStatus:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                status = await self.engine.container_status(container_id)
                if status.state is State.EXITED:
                    return status
                await asyncio.sleep(0.01)

    async def logged(self, word: str, container_id: str = "one") -> None:
        """Wait until `word` is in the log."""
        path = self.log_path(container_id)
        await until(lambda: path.exists() and word in path.read_text(), f"{word!r} in the log of {container_id}")

    def cgroup_file(self, controller: str, container_id: str, name: str, parent: str = "pods/box") -> str:
        folder = f"/sys/fs/cgroup/{controller}/{self.cgroup_root}/{parent}/{container_id}"
        return Path(folder, name).read_text().strip()

    async def destroy(self) -> None:
        await self.engine.destroy_all()
        left = self.remains()
        assert not left, f"left behind: {left}"

    def remains(self) -> list[str]:
        """What of this engine is still on the machine."""
        found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"t-{self.tag}" in line]
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/*t-{self.tag}*")]
        found += [name for name in os.listdir("/sys/class/net") if name.startswith(self.network_settings.link_prefix)]
        found += [str(self.run_dir)] if self.run_dir.exists() else []
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        found += [line for line in tables.splitlines() if self.tag in line]
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if f"t-{self.tag}".encode() in process.read_bytes():
                    found.append(f"process {process}")
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found


@asynccontextmanager
async def harness(folder: Path) -> AsyncIterator[Harness]:
    """A restored engine, destroyed afterwards."""
    made = Harness(folder)
    try:
        await made.engine.restore()
        yield made
    finally:
        await made.destroy()


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait, bounded, until `condition()` is true."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise AssertionError(f"not within {PATIENCE_S} s: {what}") from error
