"""Containers run, log, stop and end as CRI says, over real crun and conmon."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from engine_harness import Harness, harness, until

from wherry.container.runtime.crun_engine import CrunEngine
from wherry.container.runtime.engine import Mount, Resources, SandboxConfig, State
from wherry.kit.errors import AlreadyExists, Conflict, Invalid, NotFound, Unavailable

pytestmark = pytest.mark.node


@pytest_asyncio.fixture
async def box(tmp_path: Path) -> AsyncIterator[Harness]:
    async with harness(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        pytest.param("exit 0", 0, "Completed", id="success"),
        pytest.param("exit 7", 7, "Error", id="own exit code"),
        pytest.param("exec /bin/false", 1, "Error", id="false"),
    ],
)
async def test_exit_code_and_reason_are_kept(box: Harness, script: str, code: int, reason: str) -> None:
    await box.run(script)
    status = await box.engine.container_status("one")
    assert (status.state, status.exit_code, status.reason) == (State.EXITED, code, reason)
    assert status.created_at_ns <= status.started_at_ns <= status.finished_at_ns
    assert status.pid == 0


async def test_log_is_in_cri_format_with_partial_lines(box: Harness) -> None:
    await box.run("echo out; echo err >&2; printf part")
    assert ("stdout", "F", "out") in box.log("one")
    assert ("stderr", "F", "err") in box.log("one")
    assert ("stdout", "P", "part") in box.log("one")


async def test_a_flood_of_output_is_logged_whole(box: Harness) -> None:
    out = await box.run("seq 1 50000")
    assert out.split() == [str(n) for n in range(1, 50001)]


async def test_environment_command_and_directory(box: Harness) -> None:
    out = await box.run("echo $FROM_IMAGE $MINE $HOME $PATH $HOSTNAME; pwd", env=(("MINE", "a b"),), working_dir="/tmp")
    assert out.splitlines() == ["yes a b /root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin boxhost", "/tmp"]


async def test_a_working_directory_that_is_not_there_is_made(box: Harness) -> None:
    assert await box.run("pwd", working_dir="/work/deep") == "/work/deep\n"


async def test_stop_sends_the_signal_and_returns_when_it_ended(box: Harness) -> None:
    await box.sandbox()
    await box.start(script="trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done")
    await box.logged("up")
    await box.engine.stop_container("one", grace_s=10)
    status = await box.engine.container_status("one")
    assert (status.exit_code, status.state) == (3, State.EXITED)
    assert "bye" in box.text("one")
    await box.engine.stop_container("one", grace_s=10)


async def test_stop_kills_after_the_grace(box: Harness) -> None:
    await box.sandbox()
    await box.start(script="trap '' TERM; echo up; while :; do sleep 0.05; done")
    await box.logged("up")
    await box.engine.stop_container("one", grace_s=0.2)
    status = await box.engine.container_status("one")
    assert (status.exit_code, status.reason) == (137, "Error")


async def test_stop_uses_the_signal_of_the_config(box: Harness) -> None:
    await box.sandbox()
    await box.start(script="trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done", stop_signal="SIGUSR1")
    await box.logged("up")
    await box.engine.stop_container("one", grace_s=10)
    assert (await box.engine.container_status("one")).exit_code == 9


async def test_out_of_memory_is_oomkilled(box: Harness) -> None:
    await box.sandbox()
    await box.start(

        command=("tail", "-c", "200000000", "/dev/zero"),
        resources=Resources(memory_limit_bytes=20 << 20),
    )
    status = await box.ended()
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


async def test_limits_reach_the_cgroup_and_can_be_changed(box: Harness) -> None:
    await box.sandbox()
    limits = Resources(cpu_shares=512, cpu_quota_us=50_000, memory_limit_bytes=64 << 20, pids_limit=77)
    await box.start(script="sleep 100", resources=limits)
    if not Path("/sys/fs/cgroup/memory").exists():
        pytest.skip("asserts on v1 files")
    assert box.cgroup_file("cpu", "one", "cpu.shares") == "512"
    assert box.cgroup_file("cpu", "one", "cpu.cfs_quota_us") == "50000"
    assert box.cgroup_file("memory", "one", "memory.limit_in_bytes") == str(64 << 20)
    assert box.cgroup_file("pids", "one", "pids.max") == "77"
    await box.engine.update_resources("one", Resources(cpu_shares=100, memory_limit_bytes=128 << 20))
    assert box.cgroup_file("cpu", "one", "cpu.shares") == "100"
    assert box.cgroup_file("cpu", "one", "cpu.cfs_quota_us") == "-1"
    assert box.cgroup_file("memory", "one", "memory.limit_in_bytes") == str(128 << 20)
    await box.engine.update_resources("one", Resources(memory_limit_bytes=32 << 20))
    assert box.cgroup_file("memory", "one", "memory.limit_in_bytes") == str(32 << 20)


async def test_usage_counts_cpu_memory_and_files(box: Harness) -> None:
    await box.sandbox()
    await box.start(script="dd if=/dev/zero of=/tmp/x bs=1M count=3 2>/dev/null; echo up; sleep 100")
    await box.logged("up")
    usage = await box.engine.usage("one")
    assert usage.cpu_usage_ns > 0
    assert 0 < usage.working_set_bytes <= usage.memory_usage_bytes
    assert await box.engine.filesystem_usage("one") >= 3 << 20


async def connected(host: str, port: int) -> asyncio.StreamWriter:
    async with asyncio.timeout(30):
        while True:
            try:
                return (await asyncio.open_connection(host, port))[1]
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


async def test_network_usage_counts_what_the_sandbox_received_and_sent_by_link(box: Harness) -> None:
    await box.sandbox()
    await box.start("server", "echo up; nc -l -p 7000 > /tmp/got; echo got; sleep 100")
    await box.logged("up", "server")
    (before,) = await box.engine.network_usage("box")
    address = (await box.engine.sandboxes())[0].address
    writer = await connected(str(address), 7000)  # the word is said a moment before anybody listens
    writer.write(bytes(1 << 20))
    writer.close()
    await box.logged("got", "server")
    (after,) = await box.engine.network_usage("box")
    assert (before.name, after.name) == ("eth0", "eth0")
    assert after.rx_bytes - before.rx_bytes > 1 << 20 and after.rx_packets > before.rx_packets
    assert 0 < after.tx_bytes - before.tx_bytes < 1 << 20, "acknowledgements only"


async def test_on_the_host_network_there_is_no_network_usage_of_ones_own(box: Harness) -> None:
    await box.sandbox(host_network=True)
    assert await box.engine.network_usage("box") == ()



@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("no-such-program",), id="not in PATH"),
        pytest.param(("/no/such",), id="no such file"),
        pytest.param(("/etc/passwd",), id="not executable"),
        pytest.param(("/tmp",), id="a folder"),
    ],
)
async def test_a_command_that_cannot_run_says_why(box: Harness, command: tuple[str, ...]) -> None:
    await box.sandbox()
    await box.create(command=command)
    with pytest.raises(Invalid) as raised:
        await box.engine.start_container("one")
    status = await box.engine.container_status("one")
    assert (status.state, status.exit_code, status.reason) == (State.EXITED, 128, "ContainerCannotRun")
    assert status.message and status.message == str(raised.value)
    await box.engine.remove_container("one")


async def test_no_command_at_all_is_refused_and_leaves_nothing(box: Harness) -> None:
    await box.sandbox()
    with pytest.raises(Invalid, match="no command specified"):
        await box.create(command=())
    assert await box.engine.containers() == []
    assert not box.settings.bundle("one").exists()
    await box.start(script="sleep 100")


async def test_a_mount_source_that_is_missing_is_refused(box: Harness) -> None:
    await box.sandbox()
    with pytest.raises(Invalid, match="no/such"):
        await box.create(mounts=(Mount("/no/such", "/data"),))
    assert not box.settings.bundle("one").exists()


async def test_mounts_are_made_and_read_only_ones_refuse_writes(box: Harness) -> None:
    for name in ("open", "shut"):
        (box.folder / name).mkdir()
    (box.folder / "shut/file").write_text("content")
    (box.folder / "hosts").write_text("127.0.0.1 me\n")
    out = await box.run(
        "cat /shut/file /etc/hosts; echo x > /open/file; echo x > /shut/file; echo code $?",
        mounts=(
            Mount(str(box.folder / "open"), "/open"),
            Mount(str(box.folder / "shut"), "/shut", read_only=True),
            Mount(str(box.folder / "hosts"), "/etc/hosts", read_only=True),
        ),
    )
    assert out == "content127.0.0.1 me\ncode 1\n"
    assert (box.folder / "open/file").read_text() == "x\n"


async def test_names_are_taken_once_and_unknown_ones_are_not_found(box: Harness) -> None:
    with pytest.raises(NotFound):
        await box.create()
    await box.sandbox()
    await box.sandbox()
    await box.start(script="sleep 100")
    with pytest.raises(AlreadyExists):
        await box.create()
    with pytest.raises(Conflict):
        await box.engine.start_container("one")
    for call in (box.engine.container_status("no"), box.engine.usage("no"), box.engine.network_usage("no"), box.engine.attach("no", stdin=False)):
        with pytest.raises(NotFound):
            await call
    await box.engine.stop_container("no", grace_s=1)
    await box.engine.remove_container("no")
    await box.engine.stop_sandbox("no")
    await box.engine.remove_sandbox("no")


async def test_remove_keeps_the_log_and_nothing_else(box: Harness) -> None:
    await box.run("echo kept")
    await box.engine.remove_container("one")
    assert box.text("one") == "kept\n"
    assert not box.settings.bundle("one").exists()
    assert not box.settings.writable_dir("one").exists()
    await box.engine.remove_container("one")


async def test_a_created_container_can_be_removed_without_start(box: Harness) -> None:
    await box.sandbox()
    await box.create(script="sleep 100")
    assert (await box.engine.container_status("one")).state is State.CREATED
    await box.engine.remove_sandbox("box")
    assert await box.engine.sandboxes() == [] and await box.engine.containers() == []


async def test_changes_are_told_and_coalesce(box: Harness) -> None:
    events = box.engine.events()
    await box.run("true")
    async with asyncio.timeout(5):
        assert await anext(events) == "one"


async def test_many_containers_at_once(box: Harness) -> None:
    async def one(number: int) -> None:
        await box.sandbox(f"s{number}")
        await box.start(f"c{number}", f"echo {number}", f"s{number}")
        await box.ended(f"c{number}")

    async with asyncio.TaskGroup() as tasks:
        for number in range(12):
            tasks.create_task(one(number))
    assert [box.text(f"c{n}") for n in range(12)] == [f"{n}\n" for n in range(12)]
    assert len({s.address for s in await box.engine.sandboxes()}) == 12
    async with asyncio.TaskGroup() as tasks:
        for number in range(12):
            tasks.create_task(box.engine.remove_sandbox(f"s{number}"))
    assert await box.engine.containers() == []


async def test_the_death_of_conmon_ends_its_container(box: Harness) -> None:
    await box.sandbox()
    await box.start(script="sleep 1000")
    conmon_pid = int((box.settings.bundle("one") / "conmon.pid").read_text())
    pid = (await box.engine.container_status("one")).pid
    os.kill(conmon_pid, signal.SIGKILL)
    status = await box.ended()
    assert status.exit_code == 137 and "monitor" in status.message
    await until(lambda: not Path(f"/proc/{pid}").exists(), "the container's process is gone")


@pytest.mark.parametrize(("field", "package"), [("runtime", "crun"), ("conmon", "conmon")])
async def test_a_missing_program_is_named_with_its_package(tmp_path: Path, field: str, package: str) -> None:
    made = Harness(tmp_path)
    engine = CrunEngine(replace(made.settings, **{field: "no-such-program"}), made.network, made.layers)
    try:
        with pytest.raises(Unavailable, match=f"apt-get install -y {package}"):
            await engine.restore()
        with pytest.raises(Unavailable, match="not been restored"):
            await engine.create_sandbox(SandboxConfig("box", "h", "pods/box"))
    finally:
        await made.destroy()


async def test_containers_run_where_nothing_below_run_may_be_executed(tmp_path: Path) -> None:
    """A stock Debian mounts /run noexec, nosuid and nodev."""
    made = Harness(tmp_path)
    made.run_dir.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,nosuid,nodev,mode=0700", "none", str(made.run_dir)], check=True)
    try:
        await made.engine.restore()
        assert await made.run("echo one") == "one\n"
        await made.sandbox("shared", shared_pid=True)
        await made.start("two", "sleep 1000", "shared")
        assert (await made.engine.exec_sync("two", ("echo", "three"), timeout_s=20)).stdout == b"three\n"
    finally:
        for sandbox in ("box", "shared"):
            await made.engine.remove_sandbox(sandbox)
        subprocess.run(["umount", "--lazy", str(made.run_dir)], check=True)
        await made.destroy()
