"""What the containers of a sandbox share, and what they do not: network, IPC, host name, PIDs, ports of the machine."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from engine_harness import Harness, harness, until

from wherry.container.runtime.engine import Mount, PortMapping, Resources, Security
from wherry.infrastructure.linux import mounts
from wherry.kit.errors import AlreadyExists, Invalid
from wherry.testing.ports import free_port

pytestmark = pytest.mark.node


@pytest_asyncio.fixture
async def box(tmp_path: Path) -> AsyncIterator[Harness]:
    async with harness(tmp_path) as made:
        yield made


async def test_containers_share_network_shm_and_host_name_but_not_pids(box: Harness) -> None:
    await box.sandbox(hostname="shared-name")
    await box.start("first", "hostname; echo x > /dev/shm/mark; nc -l -p 7000 -e echo pong; sleep 100")
    await box.logged("shared-name", "first")
    await box.start("second", "cat /dev/shm/mark; while ! nc 127.0.0.1 7000; do sleep 0.05; done; cat /proc/[0-9]*/comm")
    await box.ended("second")
    assert box.text("second").splitlines()[:2] == ["x", "pong"]
    assert set(box.text("second").splitlines()[2:]) <= {"cat", "sh"}


async def test_sandboxes_reach_each_other_by_address(box: Harness) -> None:
    await box.sandbox("a")
    await box.sandbox("b")
    await box.start("server", "while :; do nc -l -p 7000 -e echo pong; done", "a")
    address = {s.id: s.address for s in await box.engine.sandboxes()}["a"]
    await box.start("client", f"while ! nc -w 2 {address} 7000; do sleep 0.05; done", "b")
    await box.ended("client")
    assert box.text("client") == "pong\n"


async def test_the_machine_and_a_sandbox_reach_each_other(box: Harness) -> None:
    await box.sandbox()
    await box.start("server", "while :; do nc -l -p 7000 -e echo pong; done")
    address = (await box.engine.sandboxes())[0].address

    def answer() -> bytes:
        try:
            with socket.create_connection((str(address), 7000), timeout=2) as connection:
                return connection.recv(100)
        except OSError:
            return b""

    await until(lambda: answer() == b"pong\n", "the server answers the machine")


async def test_ports_of_the_machine_lead_inside_from_everywhere(box: Harness) -> None:
    port = free_port()
    await box.sandbox(port_mappings=(PortMapping("tcp", 7000, port),))
    await box.start("server", "while :; do nc -l -p 7000 -e echo pong; done")

    def ask(host: str) -> bytes:
        try:
            with socket.create_connection((host, port), timeout=2) as connection:
                return connection.recv(100)
        except OSError:
            return b""

    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()[0]
    await until(lambda: ask(own) == b"pong\n", "the port answers at the machine's address")
    await until(lambda: ask("127.0.0.1") == b"pong\n", "the port answers on loopback")
    await box.start("client", f"while ! nc -w 2 {own} {port}; do sleep 0.05; done")  # hairpin: to itself by the machine
    await box.ended("client")
    assert box.text("client") == "pong\n"
    with pytest.raises(AlreadyExists, match=str(port)):
        await box.sandbox("other", port_mappings=(PortMapping("tcp", 7001, port),))
    assert [s.id for s in await box.engine.sandboxes()] == ["box"]
    await box.engine.remove_sandbox("box")
    await box.sandbox("other", port_mappings=(PortMapping("tcp", 7001, port),))


async def test_host_network_is_the_machines(box: Harness) -> None:
    await box.sandbox(host_network=True)
    status = (await box.engine.sandboxes())[0]
    assert status.address is None and status.network_path == ""
    await box.start(script="hostname; ls /sys/class/net")
    await box.ended()
    assert box.text("one").splitlines()[0] == socket.gethostname()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _, writer = await box.engine.dial("box", listener.getsockname()[1])
        writer.close()


async def test_shared_pid_has_one_init_and_all_processes(box: Harness) -> None:
    await box.sandbox(shared_pid=True)
    await box.start("first", "exec sleep 4321")
    await box.start("second", "ps -o pid,args")
    await box.ended("second")
    seen = box.text("second")
    assert "sleep 4321" in seen and "/init -P" in seen
    await box.engine.stop_container("first", grace_s=0)
    assert (await box.engine.container_status("first")).exit_code == 137
    await box.engine.stop_sandbox("box")


async def test_host_pid_sees_the_machine(box: Harness) -> None:
    await box.sandbox(host_pid=True)
    await box.start(script="ls /proc/1/exe >/dev/null 2>&1; ps | wc -l; (sleep 5432 &); exit 0")
    await box.ended()
    assert int(box.text("one").split()[0]) > 5
    cgroup = box.engine._doors.cgroups  # what is left of a container without PIDs of its own is killed
    await until(lambda: not cgroup.processes(f"{box.cgroup_root}/pods/box/one"), "no process of it is left")


async def test_a_container_can_join_the_pids_of_another(box: Harness) -> None:
    await box.sandbox()
    await box.start("target", "exec sleep 6543")
    await box.start("debug", "ps -o pid,args", target_container="target")
    await box.ended("debug")
    assert "sleep 6543" in box.text("debug")


async def test_sysctls_are_set_and_bad_ones_refused(box: Harness) -> None:
    await box.sandbox(sysctls={"net.ipv4.tcp_syncookies": "0", "kernel.shm_rmid_forced": "1"})
    out = await box.run("cat /proc/sys/net/ipv4/tcp_syncookies /proc/sys/kernel/shm_rmid_forced")
    assert out.split() == ["0", "1"]
    for name in ("net.no.such", "../../../etc/passwd", "net..ipv4"):
        with pytest.raises(Invalid, match="sysctl"):
            await box.sandbox("bad", sysctls={name: "1"})
    assert [s.id for s in await box.engine.sandboxes()] == ["box"]


async def test_limits_of_the_sandbox_reach_its_cgroup(box: Harness) -> None:
    await box.sandbox(resources=Resources(cpu_shares=300, memory_limit_bytes=96 << 20))
    folder = Path(f"/sys/fs/cgroup/memory/{box.cgroup_root}/pods/box")
    if not folder.exists():
        pytest.skip("asserts on v1 files")
    assert (folder / "memory.limit_in_bytes").read_text().strip() == str(96 << 20)
    await box.engine.remove_sandbox("box")
    assert not folder.exists()


@pytest.mark.parametrize("parent", ["", "a/../b", "a//b"])
async def test_cgroup_parent_cannot_leave_its_root(box: Harness, parent: str) -> None:
    with pytest.raises(Invalid, match="cgroup parent"):
        await box.sandbox(cgroup_parent=parent)


async def test_a_stopped_sandbox_gives_its_address_back_and_keeps_its_containers(box: Harness) -> None:
    await box.sandbox()
    await box.start(script="sleep 100")
    await box.engine.stop_sandbox("box")
    assert (await box.engine.sandboxes())[0].ready is False
    assert (await box.engine.container_status("one")).exit_code == 137
    assert box.network.address("box") is None
    with pytest.raises(AlreadyExists):
        await box.sandbox()


async def test_the_machine_sees_a_sandboxs_own_address(box: Harness) -> None:
    await box.sandbox()
    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()[0]
    server = socket.create_server((own, 0))
    await box.start(script=f"nc -w 2 {own} {server.getsockname()[1]} < /dev/null; true")
    server.settimeout(10)
    connection, peer = await asyncio.to_thread(server.accept)
    connection.close()
    server.close()
    assert peer[0] == str((await box.engine.sandboxes())[0].address)


async def test_mounts_travel_in_the_direction_asked_for(box: Harness) -> None:
    shared = box.folder / "shared"
    (shared / "from-host").mkdir(parents=True)
    (shared / "from-box").mkdir()
    mounts.make_shared_root(str(shared))
    try:
        await box.sandbox()
        waiting = "while [ ! -e /data/from-host/mark ]; do sleep 0.02; done; echo seen; sleep 1000"
        both = (Mount(str(shared), "/data", propagation="rshared"),)
        down = (Mount(str(shared), "/data", propagation="rslave"),)
        privileged = Security(privileged=True)
        await box.start("both", f"mount -t tmpfs x /data/from-box; {waiting}", mounts=both, security=privileged)
        await box.start("down", f"mount -t tmpfs y /data/from-box; {waiting}", mounts=down, security=privileged)
        await until(lambda: mounts.is_mounted(str(shared / "from-box")), "the machine sees the container's mount")
        mounts.tmpfs(str(shared / "from-host"))
        (shared / "from-host/mark").touch()
        await box.logged("seen", "both")
        await box.logged("seen", "down")
        sources = [m.source for m in mounts.table() if m.target == str(shared / "from-box")]
        assert sources == ["x"]
    finally:
        await box.engine.remove_sandbox("box")
        mounts.unmount_below(str(shared))
