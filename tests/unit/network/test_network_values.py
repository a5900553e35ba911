"""The pure parts of the sandbox network and of the doors to the kernel."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.infrastructure.linux import capabilities, cgroup_layout, cgroups, mounts, namespaces, netlink, signals
from wherry.infrastructure.linux.cgroup_layout import Kind
from wherry.infrastructure.network import nft, ruleset
from wherry.infrastructure.network.address_pool import AddressesExhausted, AddressPool
from wherry.infrastructure.network.ruleset import PortForward
from wherry.infrastructure.network.settings import NetworkSettings
from wherry.kit.errors import Broken, Invalid, Unsupported

NETWORK = IPv4Network("10.1.0.0/28")


def test_a_released_address_rests_as_long_as_possible(tmp_path: Path) -> None:
    pool = AddressPool(NETWORK, tmp_path / "j")
    first = pool.acquire("a")
    assert str(first) == "10.1.0.2" and pool.acquire("a") == first
    pool.release("a")
    given_later = [pool.acquire(str(n)) for n in range(13)]
    assert given_later[-1] == first and len(set(given_later)) == 13
    with pytest.raises(AddressesExhausted, match="all 13"):
        pool.acquire("more")


def test_the_journal_is_the_truth_of_the_next_process(tmp_path: Path) -> None:
    pool = AddressPool(NETWORK, tmp_path / "j")
    held = {name: pool.acquire(name) for name in "abc"}
    pool.release("b")
    again = AddressPool(NETWORK, tmp_path / "j")
    again.load()
    assert again.owners() == {"a", "c"} and again.holder("c") == held["c"]
    assert again.acquire("new") not in held.values()
    again.forget()
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"held": 3}', '{"held": {"a": "x"}, "last": 1}', '{"held": {}}'])
def test_a_broken_journal_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "j").write_text(text)
    with pytest.raises(Broken, match="remove it when no sandbox runs"):
        AddressPool(NETWORK, tmp_path / "j").load()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_no_two_sandboxes_ever_hold_one_address(tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[bool, int]]) -> None:
    journal = tmp_path_factory.getbasetemp() / "pool"
    journal.unlink(missing_ok=True)
    pool = AddressPool(NETWORK, journal)
    for take, number in steps:
        try:
            if take:
                pool.acquire(str(number))
            else:
                pool.release(str(number))
        except AddressesExhausted:
            assert len(pool.owners()) == 13
        held = [pool.holder(owner) for owner in pool.owners()]
        assert len(held) == len(set(held))
        assert NETWORK.network_address not in held and NETWORK.broadcast_address not in held


@pytest.mark.parametrize("cluster", ["", "UPPER", "toolongname", "a-b", "a b"])
def test_cluster_names_that_cannot_be_part_of_a_link_name_are_refused(cluster: str) -> None:
    with pytest.raises(ValueError, match="cluster"):
        NetworkSettings(cluster, Path("/j"))


def test_no_link_prefix_is_the_beginning_of_another() -> None:
    prefixes = [NetworkSettings(name, Path("/j")).link_prefix for name in ("t", "te", "test", "test1", "test12")]
    assert len({len(prefix) for prefix in prefixes}) == 1 and len(set(prefixes)) == 5


def test_ports_open_and_close_by_the_same_keys() -> None:
    settings = NetworkSettings("abc", Path("/j"))
    ports = (PortForward("tcp", 80, 8080), PortForward("udp", 53, 53, "10.0.0.1"), PortForward("tcp", 1, 2, "0.0.0.0"))
    address = IPv4Address("10.244.0.5")
    assert ruleset.open_port_text(settings, address, ports) == (
        "add element ip wherry-abc-net any_ports { tcp . 8080 : 10.244.0.5 . 80, tcp . 2 : 10.244.0.5 . 1 }\n"
        "add element ip wherry-abc-net ip_ports { 10.0.0.1 . udp . 53 : 10.244.0.5 . 53 }\n"
        "add element ip wherry-abc-net hairpin { 10.244.0.5 . 10.244.0.5 }\n"
        "add element ip wherry-abc-net from_loopback { 10.244.0.5 }\n"
    )
    assert "any_ports { tcp . 8080, tcp . 2 }" in ruleset.close_port_text(settings, address, ports)
    assert ruleset.open_port_text(settings, address, ()) == ruleset.close_port_text(settings, address, ()) == ""


def test_element_text_of_nothing_is_nothing() -> None:
    assert nft.add_elements("t", "s", []) == nft.delete_elements("t", "s", []) == ""


def test_veth_message_is_what_rtnetlink_reads() -> None:
    request = netlink.add_veth("w1", b"\xee" * 6, "eth0", b"\x0a" * 6, 9, 1400)
    assert request.kind == netlink.NEW_LINK
    attributes = dict(netlink._attributes(request.body[16:]))
    assert attributes[netlink.IFLA_IFNAME] == b"w1\0"
    info = dict(netlink._attributes(attributes[netlink.IFLA_LINKINFO]))
    assert info[netlink.IFLA_INFO_KIND] == b"veth\0"
    peer = dict(netlink._attributes(info[netlink.IFLA_INFO_DATA]))[netlink.VETH_INFO_PEER]
    assert dict(netlink._attributes(peer[16:]))[netlink.IFLA_IFNAME] == b"eth0\0"


@given(st.lists(st.tuples(st.integers(1, 100), st.binary(max_size=40))))
def test_attributes_come_back_as_they_were_written(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(netlink._attribute(kind, value) for kind, value in pairs)
    assert list(netlink._attributes(data)) == pairs


@given(st.binary(max_size=200))
def test_garbage_from_a_socket_never_hangs_the_readers(data: bytes) -> None:
    list(netlink._attributes(data))


V1 = """20 1 0:1 / /sys/fs/cgroup ro - tmpfs tmpfs ro
21 20 0:2 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
22 20 0:3 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
23 20 0:4 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
HYBRID = V1.replace("/sys/fs/cgroup ro -", "/sys/fs/cgroup ro shared:4 -") + "24 20 0:5 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
V2 = "21 20 0:2 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.mark.parametrize(
    ("text", "kind", "memory", "shared"),
    [
        pytest.param(V1, Kind.V1, "/sys/fs/cgroup/memory/w/a", False, id="v1"),
        pytest.param(HYBRID, Kind.HYBRID, "/sys/fs/cgroup/memory/w/a", True, id="hybrid"),
        pytest.param(V2, Kind.V2, "/sys/fs/cgroup/w/a", False, id="v2"),
    ],
)
def test_cgroup_layout_is_told_by_the_mount_table(text: str, kind: Kind, memory: str, shared: bool) -> None:
    layout = cgroup_layout.detect(mounts.table(text))
    assert (layout.kind, layout.folder("memory", "/w/a"), layout.unified_shared) == (kind, memory, shared)
    assert len(layout.folders("w")) == {Kind.V1: 3, Kind.HYBRID: 4, Kind.V2: 1}[kind]


def test_a_machine_without_cgroups_is_refused() -> None:
    with pytest.raises(Unsupported):
        cgroup_layout.detect([])


def test_mount_table_names_are_unescaped() -> None:
    entry = mounts.table("1 2 0:1 / /a\\040b rw,noatime shared:7 master:2 - ext4 /dev/x\\134y rw\n")[0]
    assert (entry.target, entry.source, entry.shared, entry.kind) == ("/a b", "/dev/x\\y", True, "ext4")


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262_144, 10_000), (0, 1), (9_999_999, 10_000)])
def test_shares_become_weights_as_in_every_runtime(shares: int, weight: int) -> None:
    assert cgroups.cpu_weight(shares) == weight


@pytest.mark.parametrize(
    ("add", "drop", "held"),
    [
        pytest.param((), (), set(capabilities.DEFAULT), id="default"),
        pytest.param(("net_admin",), ("CAP_CHOWN",), {*capabilities.DEFAULT, "CAP_NET_ADMIN"} - {"CAP_CHOWN"}, id="one more, one less"),
        pytest.param(("ALL",), ("SYS_TIME",), set(capabilities.ALL) - {"CAP_SYS_TIME"}, id="all but one"),
        pytest.param(("CHOWN",), ("ALL",), {"CAP_CHOWN"}, id="only one"),
        pytest.param((), ("ALL",), set(), id="none"),
    ],
)  # fmt: skip
def test_capabilities_add_and_drop(add: tuple[str, ...], drop: tuple[str, ...], held: set[str]) -> None:
    assert set(capabilities.effective(add, drop)) == held


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(Invalid, match="'FLY' is not known"):
        capabilities.effective(("FLY",), ())


def test_bounding_set_is_read_from_status() -> None:
    assert capabilities.available("Name:\tx\nCapBnd:\t0000000000000021\n") == {"CAP_CHOWN", "CAP_KILL"}


@pytest.mark.parametrize(
    ("name", "number"), [("SIGTERM", 15), ("term", 15), ("9", 9), (" SIGUSR1 ", 10), ("SIGRTMIN", 34), ("RTMIN+3", 37), ("SIGRTMAX-1", 63)]
)
def test_signal_names(name: str, number: int) -> None:
    assert signals.number(name) == number


@pytest.mark.parametrize("name", ["", "SIGNOPE", "0", "65", "-1", "RTMIN+99", "TERM;"])
def test_unknown_signals_are_refused(name: str) -> None:
    with pytest.raises(Invalid, match="not known"):
        signals.number(name)


@pytest.mark.parametrize("name", ["", "..", "net/../kernel", "net..x"])
def test_sysctl_names_cannot_leave_their_folder(name: str) -> None:
    with pytest.raises(ValueError):
        namespaces.sysctl_path(name)
