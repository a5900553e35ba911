"""The pure parts of the container engine: users, the OCI document, seccomp, records, words for the user."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.container.runtime import oci_mounts, oci_runtime, oci_spec, records, seccomp, users
from wherry.container.runtime.engine import (
    ContainerConfig,
    Device,
    Mount,
    PortMapping,
    Resources,
    SandboxConfig,
    Security,
    State,
)
from wherry.container.runtime.oci_spec import Surroundings
from wherry.container.runtime.records import ContainerRecord, SandboxRecord
from wherry.container.runtime.settings import RuntimeSettings
from wherry.container.runtime.users import ProcessUser
from wherry.infrastructure.linux.cgroup_layout import Kind, Layout
from wherry.kit.errors import Broken, Invalid

PASSWD = "root:x:0:0:root:/root:/bin/sh\nbroken line\napp:x:1000:1001:App:/home/app:/bin/sh\n"
GROUP = "root:x:0:\nextra:x:2000:app,other\nmore:x:2001:app\n"
ROOT = ProcessUser(0, 0, (), "/root")
CONFIG = ContainerConfig("c1", "s1", "main", 0, "sha256:1", "/log", command=("run",))
AROUND = Surroundings("host", "/ns/net", "/ns/ipc", "/ns/uts", None, "/shm", "/w/c1", None)


@pytest.mark.parametrize(
    ("security", "image_user", "expected"),
    [
        pytest.param(Security(), "", ProcessUser(0, 0, (), "/root"), id="root when nobody says otherwise"),
        pytest.param(Security(), "app", ProcessUser(1000, 1001, (2000, 2001), "/home/app"), id="image user by name"),
        pytest.param(Security(), "1000", ProcessUser(1000, 1001, (2000, 2001), "/home/app"), id="image user by id"),
        pytest.param(Security(), "app:extra", ProcessUser(1000, 2000, (), "/home/app"), id="image user and group"),
        pytest.param(Security(), "7:8", ProcessUser(7, 8, (), ""), id="numbers need not be known"),
        pytest.param(Security(user_id=1000), "root", ProcessUser(1000, 1001, (2000, 2001), "/home/app"), id="explicit id wins"),
        pytest.param(Security(user_name="app"), "root", ProcessUser(1000, 1001, (2000, 2001), "/home/app"), id="explicit name wins"),
        pytest.param(Security(user_id=7), "app", ProcessUser(7, 0, (), ""), id="unknown id has group 0"),
        pytest.param(Security(user_id=7, group_id=9, supplemental_groups=(5, 9)), "", ProcessUser(7, 9, (5, 9), ""), id="groups"),
    ],
)  # fmt: skip
def test_user_is_resolved_in_cri_order(security: Security, image_user: str, expected: ProcessUser) -> None:
    assert users.resolve(security, image_user, PASSWD, GROUP) == expected


@pytest.mark.parametrize(
    ("security", "image_user", "message"),
    [
        pytest.param(Security(), "nobody-here", "unable to find user nobody-here", id="user"),
        pytest.param(Security(), "app:nothing", "unable to find group nothing", id="group"),
        pytest.param(Security(group_id=1), "app", "run_as_group needs run_as_user", id="group alone"),
        pytest.param(Security(), "99999999999", "unable to find user", id="id too large"),
    ],
)
def test_unknown_users_are_refused(security: Security, image_user: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        users.resolve(security, image_user, PASSWD, GROUP)


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=20))
def test_hostile_account_files_never_break_the_reader(passwd: str, group: str, user: str) -> None:
    try:
        found = users.resolve(Security(), user, passwd, group)
    except Invalid:
        return
    assert isinstance(found.uid, int)


@pytest.mark.parametrize(
    ("command", "args", "image", "expected"),
    [
        pytest.param((), (), {"Entrypoint": ["e"], "Cmd": ["c"]}, ["e", "c"], id="image alone"),
        pytest.param(("x",), (), {"Entrypoint": ["e"], "Cmd": ["c"]}, ["x"], id="command replaces both"),
        pytest.param((), ("a",), {"Entrypoint": ["e"], "Cmd": ["c"]}, ["e", "a"], id="args replace Cmd"),
        pytest.param(("x",), ("a",), {"Entrypoint": None, "Cmd": None}, ["x", "a"], id="both"),
        pytest.param((), ("a",), {}, ["a"], id="args of an image without entrypoint"),
    ],
)
def test_command_by_cri_rules(
    command: tuple[str, ...], args: tuple[str, ...], image: dict[str, Any], expected: list[str]
) -> None:
    assert oci_spec.command(replace(CONFIG, command=command, args=args), image) == expected


def test_environment_of_the_caller_wins_over_the_images_over_ours() -> None:
    config = replace(CONFIG, env=(("A", "caller"), ("PATH", "/p")), tty=True)
    found = oci_spec.environment(config, {"Env": ["A=image", "B=x=y", "TERM=dumb"]}, ROOT, "host")
    assert found == ["PATH=/p", "HOSTNAME=host", "TERM=dumb", "A=caller", "B=x=y", "HOME=/root"]


def test_document_of_a_plain_container() -> None:
    spec = oci_spec.render(CONFIG, {}, ROOT, AROUND)
    assert spec["process"]["args"] == ["run"] and spec["process"]["cwd"] == "/"
    assert {n["type"]: n.get("path") for n in spec["linux"]["namespaces"]} == {
        "mount": None, "network": "/ns/net", "ipc": "/ns/ipc", "uts": "/ns/uts", "pid": None, "cgroup": None,
    }  # fmt: skip
    assert spec["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert "/proc/kcore" in spec["linux"]["maskedPaths"]
    assert spec["root"] == {"path": "rootfs", "readonly": False}


def test_document_of_a_privileged_container_hides_nothing() -> None:
    spec = oci_spec.render(replace(CONFIG, security=Security(privileged=True)), {}, ROOT, AROUND)
    assert spec["linux"]["maskedPaths"] == [] and spec["linux"]["readonlyPaths"] == []
    assert spec["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "rw" in next(m for m in spec["mounts"] if m["destination"] == "/sys")["options"]


def test_pid_namespace_is_own_joined_or_the_machines() -> None:
    def kinds(path: str | None) -> list[dict[str, str]]:
        spec = oci_spec.render(CONFIG, {}, ROOT, replace(AROUND, pid_path=path))
        return [n for n in spec["linux"]["namespaces"] if n["type"] == "pid"]

    assert kinds(None) == [{"type": "pid"}]
    assert kinds("/proc/7/ns/pid") == [{"type": "pid", "path": "/proc/7/ns/pid"}]
    assert kinds("") == []


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param(Resources(), {"cpu": {"shares": 2}}, id="nothing"),
        pytest.param(
            Resources(cpu_shares=512, cpu_quota_us=5000, memory_limit_bytes=1, pids_limit=3),
            {"cpu": {"shares": 512, "quota": 5000, "period": 100_000}, "memory": {"limit": 1, "swap": 1}, "pids": {"limit": 3}},
            id="everything",
        ),
    ],
)
def test_limits_in_the_words_of_the_spec(limits: Resources, expected: dict[str, Any]) -> None:
    assert oci_spec.resources(limits, swap_limit=True) == expected


def test_a_mount_below_another_comes_after_it_and_replaces_ours() -> None:
    binds = (Mount("/b", "/data/deep"), Mount("/a", "/data"), Mount("/s", "/dev/shm"), Mount("/r", "/ro", True, recursive_read_only=True))
    found = oci_mounts.mounts(binds, shm_source="/shm", privileged=False)
    targets = [m["destination"] for m in found]
    assert targets.index("/data") < targets.index("/data/deep")
    assert [m["source"] for m in found if m["destination"] == "/dev/shm"] == ["/s"]
    assert {"ro", "rro"} <= set(found[targets.index("/ro")]["options"])


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [((), ""), (("private",), ""), (("rslave", "private"), "rslave"), (("rslave", "rshared"), "rshared")],
)
def test_root_propagation_follows_the_widest_mount(kinds: tuple[str, ...], expected: str) -> None:
    assert oci_mounts.root_propagation(Mount("/a", "/b", propagation=kind) for kind in kinds) == expected


def _action(profile: dict[str, Any], name: str) -> list[tuple[str, int | None]]:
    return [(r["action"], r.get("errnoRet")) for r in profile["syscalls"] if name in r["names"]]


def test_default_seccomp_profile_depends_on_capabilities() -> None:
    plain = seccomp.default_profile(("CAP_CHOWN",), "x86_64")
    admin = seccomp.default_profile(("CAP_SYS_ADMIN",), "x86_64")
    assert _action(plain, "read") == [("SCMP_ACT_ALLOW", None)]
    assert _action(plain, "mount") == [("SCMP_ACT_ERRNO", 1)]
    assert _action(admin, "mount") == [("SCMP_ACT_ALLOW", None)]
    assert _action(plain, "clone3") == [("SCMP_ACT_ERRNO", 38)]
    assert _action(plain, "keyctl") == _action(admin, "keyctl") == [("SCMP_ACT_ERRNO", 1)]
    assert plain["defaultErrnoRet"] == 38


@pytest.mark.parametrize("capabilities", [(), ("CAP_SYS_ADMIN",), ("CAP_BPF", "CAP_SYS_TIME")], ids=["none", "admin", "two"])
def test_no_system_call_is_both_allowed_and_refused(capabilities: tuple[str, ...]) -> None:
    rules = seccomp.default_profile(capabilities, "aarch64")["syscalls"]
    plain = [rule for rule in rules if "args" not in rule]
    names = [name for rule in plain for name in rule["names"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("text", ["", "[]", "{", "nonsense"])
def test_a_broken_profile_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p").write_text(text)
    with pytest.raises(Invalid, match="cannot load seccomp profile"):
        seccomp.from_file(str(tmp_path / "p"))


words = st.text(max_size=10)
securities = st.builds(Security, user_id=st.none() | st.integers(0, 99), add_capabilities=st.tuples(words), masked_paths=st.none() | st.tuples(words))
configs = st.builds(
    ContainerConfig, words, words, words, st.integers(0, 9), words, words,
    command=st.lists(words).map(tuple), env=st.lists(st.tuples(words, words)).map(tuple), security=securities,
    mounts=st.lists(st.builds(Mount, words, words)).map(tuple), devices=st.lists(st.builds(Device, words, words)).map(tuple),
    resources=st.builds(Resources, memory_limit_bytes=st.none() | st.integers(0)), labels=st.dictionaries(words, words),
)  # fmt: skip


@given(config=configs, state=st.sampled_from(State), code=st.integers(0, 255))
@pytest.mark.slow
def test_container_records_come_back_equal(tmp_path_factory: pytest.TempPathFactory, config: ContainerConfig, state: State, code: int) -> None:
    path = tmp_path_factory.getbasetemp() / "container.json"
    record = ContainerRecord(config, "cg", 15, 1, state=state, exit_code=code)
    records.save(path, record)
    assert records.load_container(path) == record


def test_sandbox_records_come_back_equal(tmp_path: Path) -> None:
    config = SandboxConfig("s", "h", "p", sysctls={"a": "b"}, port_mappings=(PortMapping("tcp", 1, 2),), resources=Resources(pids_limit=1))
    record = SandboxRecord(config, 5, address="10.0.0.1")
    records.save(tmp_path / "s.json", record)
    assert records.load_sandbox(tmp_path / "s.json") == record
    assert records.load_sandbox(tmp_path / "none.json") is None
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(Broken):
        records.load_sandbox(tmp_path / "s.json")


def test_a_run_folder_too_long_for_sockets_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        RuntimeSettings(Path("/run/" + "x" * 40), Path("/data"), "w")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("  [conmon:e]: error: cannot\n  find it ", "cannot find it", id="noise"),
        pytest.param("", "the container runtime gave no reason", id="nothing"),
        pytest.param("x" * 5000, "x" * 1000, id="long"),
    ],
)
def test_runtime_messages_become_one_line(text: str, expected: str) -> None:
    assert oci_runtime.message_of(text) == expected


@pytest.mark.parametrize("shared", [False, True])
def test_wrapper_hides_the_unified_mount_and_never_from_the_machine(shared: bool) -> None:
    layout = Layout(Kind.HYBRID, {"cpu": "/sys/fs/cgroup/cpu"}, "/sys/fs/cgroup/unified", shared)
    text = oci_runtime._wrapper("/usr/bin/crun", layout)
    assert "umount /sys/fs/cgroup/unified" in text
    assert ("--make-private /sys/fs/cgroup &&" in text) is shared
