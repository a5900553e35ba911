"""The doors to the kernel that volumes and containers stand on: loop devices, cgroups, namespaces, mounts."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.infrastructure.linux import cgroup_layout, libc, loop_devices, mounts, namespaces, processes
from wherry.infrastructure.linux.cgroups import Cgroups, Limits

pytestmark = pytest.mark.node


def test_a_loop_device_follows_its_file(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"")
    os.truncate(file, 8 << 20)
    device = loop_devices.attach(str(file))
    try:
        assert loop_devices.devices_of(str(file)) == [device]
        found = next(d for d in loop_devices.devices() if d.path == device)
        assert found.direct_io and not found.read_only
        assert _size(device) == 8 << 20
        os.truncate(file, 16 << 20)
        loop_devices.set_capacity(device)
        assert _size(device) == 16 << 20
    finally:
        loop_devices.detach(device)
        loop_devices.detach(device)
    assert loop_devices.devices_of(str(file)) == []


def test_a_read_only_loop_device_refuses_writes(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(bytes(1 << 20))
    device = loop_devices.attach(str(file), read_only=True)
    try:
        descriptor = os.open(device, os.O_RDWR)
        try:
            with pytest.raises(OSError):
                os.pwrite(descriptor, bytes(4096), 0)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except PermissionError:
        pass  # some kernels refuse the open already
    finally:
        loop_devices.detach(device)


def test_namespaces_live_in_files_until_dropped(tmp_path: Path) -> None:
    files = {kind: str(tmp_path / kind) for kind in ("net", "ipc", "uts")}
    before = {kind: os.readlink(f"/proc/thread-self/ns/{kind}") for kind in files}
    namespaces.create(files, hostname="inner")
    try:
        assert all(namespaces.is_held(path) for path in files.values())
        name = subprocess.run(["nsenter", f"--uts={files['uts']}", "hostname"], capture_output=True, text=True, check=True)
        assert name.stdout == "inner\n"
        assert {kind: os.readlink(f"/proc/thread-self/ns/{kind}") for kind in files} == before
    finally:
        for path in files.values():
            namespaces.drop(path)
            namespaces.drop(path)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_sysctl_leaves_no_namespace(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        namespaces.create({"net": str(tmp_path / "net")}, sysctls={"net.no.such": "1"})
    assert list(tmp_path.iterdir()) == []


async def test_a_cgroup_is_made_limited_killed_and_removed() -> None:
    cgroups = Cgroups(cgroup_layout.detect(mounts.table()))
    name = f"wherry-t-{random.randrange(16**6):06x}"
    path = f"{name}/a/b"
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        cgroups.create(path, Limits(memory_bytes=32 << 20, pids=5, cpu_quota_us=20_000))
        cgroups.create(path, Limits(memory_bytes=64 << 20))
        cgroups.add_process(path, sleeper.pid)
        assert cgroups.processes(name) == {sleeper.pid}
        assert cgroups.memory_usage_bytes(path) >= 0 and cgroups.oom_kills(path) == 0
        cgroups.kill(name)
        assert sleeper.wait(10) == -signal.SIGKILL
    finally:
        sleeper.kill()
        await cgroups.remove(name)
        await cgroups.remove(name)
    assert not cgroups.exists(name)


def test_a_bind_mount_is_read_only_when_asked(tmp_path: Path) -> None:
    for folder in ("from", "to"):
        (tmp_path / folder).mkdir()
    mounts.bind(str(tmp_path / "from"), str(tmp_path / "to"), read_only=True)
    try:
        assert mounts.is_mounted(str(tmp_path / "to"))
        with pytest.raises(OSError):
            (tmp_path / "to/x").touch()
    finally:
        mounts.unmount_below(str(tmp_path))
        mounts.unmount(str(tmp_path / "to"))
    assert not mounts.is_mounted(str(tmp_path / "to"))


def test_a_shared_folder_is_made_once(tmp_path: Path) -> None:
    try:
        mounts.make_shared_root(str(tmp_path))
        mounts.make_shared_root(str(tmp_path))
        assert [mount.shared for mount in mounts.table() if mount.target == str(tmp_path)] == [True]
    finally:
        mounts.unmount_below(str(tmp_path))


def test_links_do_not_lead_out_of_a_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/real").write_text("inside")
    (tmp_path / "etc/link").symlink_to("/etc/real")
    (tmp_path / "etc/out").symlink_to("../../../../../../etc/hostname")
    descriptor = libc.open_in_root(str(tmp_path), "/etc/link")
    assert os.read(descriptor, 100) == b"inside"
    os.close(descriptor)
    with pytest.raises(FileNotFoundError):
        libc.open_in_root(str(tmp_path), "/etc/out")


async def test_the_end_of_a_foreign_process_is_awaited() -> None:
    sleeper = subprocess.Popen(["sleep", "1000"])
    ticks = processes.start_ticks(sleeper.pid)
    assert ticks is not None and processes.is_same(sleeper.pid, ticks)
    assert not processes.send(sleeper.pid, signal.SIGKILL, ticks + 1)
    assert processes.send(sleeper.pid, signal.SIGKILL, ticks)
    await processes.ended(sleeper.pid, ticks)
    sleeper.wait()
    assert processes.start_ticks(sleeper.pid) is None
    assert not processes.send(sleeper.pid, signal.SIGKILL, ticks)


def _size(device: str) -> int:
    descriptor = os.open(device, os.O_RDONLY)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)


RENAME_FOR_EVER = """
import os, sys
os.chdir(sys.argv[1])
while True:
    os.rename("a", "b")
    os.rename("b", "a")
"""


def test_a_file_is_found_while_others_rename_elsewhere_on_the_machine(tmp_path: Path) -> None:
    """The kernel answers EAGAIN when anything is renamed while it walks a "..": that is no error of the file."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").symlink_to("../" * 40 + "real")
    (root / "real").write_text("root:x:0:0\n")
    (elsewhere / "a").mkdir(parents=True)
    renaming = [subprocess.Popen([sys.executable, "-c", RENAME_FOR_EVER, str(elsewhere)])]
    try:
        for _ in range(20_000):
            os.close(libc.open_in_root(str(root), "/etc/passwd"))
    finally:
        for process in renaming:
            process.kill()
            process.wait()
