"""What a container may do: user, capabilities, seccomp, paths, read-only root, privileged."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from engine_harness import Harness, Layers, harness, make_layer

from wherry.container.runtime.engine import Device, Resources, Security
from wherry.infrastructure.linux import capabilities, processes
from wherry.kit.errors import Invalid

pytestmark = pytest.mark.node


@pytest_asyncio.fixture
async def box(tmp_path: Path) -> AsyncIterator[Harness]:
    async with harness(tmp_path) as made:
        await made.sandbox()
        yield made


@pytest.mark.parametrize(
    ("security", "ids", "home"),
    [
        pytest.param(Security(), "0 0", "/root", id="root by default"),
        pytest.param(Security(user_id=1000), "1000 1001 2000", "/home/app", id="by id"),
        pytest.param(Security(user_name="app"), "1000 1001 2000", "/home/app", id="by name"),
        pytest.param(Security(user_id=4242), "4242 0", "/", id="unknown id"),
        pytest.param(Security(user_id=1000, group_id=7, supplemental_groups=(9,)), "1000 7 9 2000", "/home/app", id="groups"),
    ],
)
async def test_user_and_groups(box: Harness, security: Security, ids: str, home: str) -> None:
    out = await box.run("id -u; id -g; grep Groups /proc/self/status; echo $HOME", security=security)
    uid, gid, groups, found_home = out.splitlines()
    found = [uid, gid, *(g for g in groups.split()[1:] if g != gid)]
    assert (found, found_home) == (ids.split(), home)


async def test_an_unknown_user_name_is_refused(box: Harness) -> None:
    with pytest.raises(Invalid, match="unable to find user nobody-here"):
        await box.create(security=Security(user_name="nobody-here"))


async def test_passwd_that_is_a_link_out_of_the_root_is_not_followed(box: Harness) -> None:
    evil = make_layer(box.folder / "evil")
    (evil / "etc/passwd").unlink()
    (evil / "etc/passwd").symlink_to("/../../../../etc/passwd")
    (evil / "etc/group").unlink()
    (evil / "etc/group").symlink_to("/etc/group")
    box.engine._layers = Layers(evil)
    with pytest.raises(Invalid, match="unable to find user daemon"):
        await box.create(security=Security(user_name="daemon"))


@pytest.mark.parametrize(
    ("security", "held"),
    [
        pytest.param(Security(), set(capabilities.DEFAULT), id="default 14"),
        pytest.param(Security(drop_capabilities=("ALL",)), set(), id="none"),
        pytest.param(Security(drop_capabilities=("ALL",), add_capabilities=("NET_BIND_SERVICE",)), {"CAP_NET_BIND_SERVICE"}, id="one"),
        pytest.param(Security(add_capabilities=("NET_ADMIN",)), {*capabilities.DEFAULT, "CAP_NET_ADMIN"}, id="one more"),
        pytest.param(Security(privileged=True), set(capabilities.ALL), id="privileged"),
    ],
)  # fmt: skip
async def test_capabilities(box: Harness, security: Security, held: set[str]) -> None:
    out = await box.run("grep CapEff /proc/self/status", security=security)
    bits = int(out.split()[1], 16)
    assert {name for bit, name in enumerate(capabilities.ALL) if bits >> bit & 1} == held & capabilities.available()


async def test_seccomp_default_filters_and_others_do_not(box: Harness) -> None:
    probe = "grep '^Seccomp:' /proc/self/status; unshare -m true; echo unshare $?"
    for id_, security, expected in (
        ("filtered", Security(add_capabilities=("NET_ADMIN",)), ["Seccomp:", "2", "unshare", "1"]),
        ("open", Security(seccomp="unconfined"), ["Seccomp:", "0", "unshare", "1"]),
        ("privileged", Security(privileged=True), ["Seccomp:", "0", "unshare", "0"]),
    ):
        assert (await box.run(probe, id_, security=security)).split() == expected
    # With the capability to unshare, only the profile of a process without CAP_SYS_ADMIN stands in the way.
    probe = "unshare -m true; echo $?"
    assert await box.run(probe, "admin", security=Security(add_capabilities=("SYS_ADMIN",))) == "0\n"


@pytest.mark.parametrize("again", [False, True], ids=["compiled", "from the cache"])
async def test_refused_system_calls_say_eperm(box: Harness, again: bool) -> None:
    if again:
        await box.run("true", "warm")
    # chroot is allowed with its capability; keyctl never; clock_settime and reboot not without theirs.
    script = "chroot / /bin/true && echo chroot; date -s 2020-01-01 2>&1; mount -t tmpfs x /tmp 2>&1; true"
    out = await box.run(script, "probe")
    assert out.startswith("chroot\n")
    assert out.lower().count("operation not permitted") + out.lower().count("permission denied") == 2


async def test_exec_is_filtered_too(box: Harness) -> None:
    for name in ("first", "second"):
        await box.start(name, "sleep 100")
        found = await box.engine.exec_sync(name, ("grep", "-E", "^(Seccomp|CapEff):", "/proc/self/status"), timeout_s=10)
        assert found.stdout.split() == [b"CapEff:", b"00000000a80425fb", b"Seccomp:", b"2"]


async def test_a_local_profile_is_used_and_a_missing_one_refused(box: Harness) -> None:
    profile = box.folder / "profile.json"
    profile.write_text(
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}'
    )
    out = await box.run("mkdir /tmp/x 2>&1; true", security=Security(seccomp=f"localhost/{profile}"))
    assert "Operation not permitted" in out
    with pytest.raises(Invalid, match="cannot load seccomp profile"):
        await box.create("two", security=Security(seccomp="localhost//no/such.json"))
    with pytest.raises(Invalid, match="is not runtime/default"):
        await box.create("two", security=Security(seccomp="docker/default"))


async def test_no_new_privileges(box: Harness) -> None:
    out = await box.run("grep NoNewPrivs /proc/self/status", security=Security(no_new_privileges=True))
    assert out.split()[1] == "1"


async def test_a_read_only_root_refuses_writes_but_mounts_do_not(box: Harness) -> None:
    out = await box.run("touch /x; echo $?; touch /dev/shm/x; echo $?", security=Security(read_only_root=True))
    assert out.split() == ["1", "0"]


async def test_kernel_paths_are_masked_unless_asked_otherwise(box: Harness) -> None:
    script = "cat /proc/timer_list | wc -c; echo 1 > /proc/sys/vm/drop_caches; echo $?; ls /sys/firmware | wc -l"
    assert (await box.run(script, "masked")).split() == ["0", "1", "0"]
    out = await box.run("cat /proc/timer_list | wc -c", "bare", security=Security(masked_paths=(), read_only_paths=()))
    assert int(out) > 0


async def test_devices_of_the_machine_need_to_be_given(box: Harness) -> None:
    script = "test -e /dev/loop-control; echo $?; mknod /tmp/n c 10 237; head -c 0 /tmp/n 2>&1"
    assert "Operation not permitted" in await box.run(script, "plain")
    given = (Device("/dev/loop-control", "/dev/loopy", "rw"),)
    assert await box.run("head -c 0 /dev/loopy && echo open", "given", devices=given) == "open\n"
    out = await box.run("test -e /dev/loop-control && echo all", "privileged", security=Security(privileged=True))
    assert out == "all\n"
    with pytest.raises(Invalid, match="no/dev"):
        await box.create("bad", devices=(Device("/no/dev", "/dev/x"),))


async def test_oom_score_is_set_as_far_as_the_machine_allows(box: Harness) -> None:
    for name, wanted in (("guaranteed", -997), ("burstable", 950)):
        out = await box.run("cat /proc/self/oom_score_adj", name, resources=Resources(oom_score_adj=wanted))
        assert int(out) == max(wanted, processes.oom_score_adj_min())


async def test_the_image_layers_stay_as_they_are_and_the_top_one_wins(box: Harness) -> None:
    base, top = box.folder / "layer", box.folder / "top"
    (top / "etc").mkdir(parents=True)
    (top / "etc/passwd").write_text("root:x:0:0:top:/top:/bin/sh\n")
    box.engine._layers = Layers(base, top)
    before = sorted(str(p) for p in base.rglob("*"))
    assert await box.run("echo $HOME; rm -r /etc; touch /new; ls /etc 2>&1 | wc -l") == "/top\n1\n"
    assert sorted(str(p) for p in base.rglob("*")) == before
    assert (top / "etc/passwd").exists()


async def test_an_image_of_many_layers_with_long_names_mounts(box: Harness) -> None:
    folders = [box.folder / "layer"]
    for number in range(130):
        folder = box.folder / f"a-rather-long-name-for-a-layer-as-digests-are-{number:064d}"
        folder.mkdir()
        (folder / f"file{number}").touch()
        folders.append(folder)
    box.engine._layers = Layers(*folders)
    assert await box.run("ls /file* | wc -l") == "130\n"
    shutil.rmtree(box.folder / "top", ignore_errors=True)
