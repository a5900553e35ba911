"""What `wherry up` finds on the machine: who holds a port, where routes lead, what the system's refusals mean."""

import errno
import os
import socket
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from wherry.assembly import checks, supervisor
from wherry.assembly.node import SERVER, WORKER, NodeSettings
from wherry.cli.main import machine_refuses
from wherry.infrastructure.linux import listeners, routes
from wherry.kit import atomic_file

ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0
eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0
w1234567 0200F40A 00000000 0005 0 0 0 FFFFFFFF 0 0 0
"""


def test_a_listener_is_found_with_its_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (found,) = listeners.on_port(server.getsockname()[1])
    assert found.pid == os.getpid()
    assert found.program == Path("/proc/self/comm").read_text().strip()


def test_only_rows_that_listen_on_the_port_count() -> None:
    row = "   0: 0100007F:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1"
    lines = [row.format(port="192B", state="0A", inode="1"), row.format(port="192B", state="01", inode="2"),
             row.format(port="192C", state="0A", inode="3")]
    assert listeners.listening_inodes("\n".join(["header", *lines]), 6443) == {"1"}


def test_a_port_held_by_a_component_of_the_cluster_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `kill -9` of the supervisor alone, `wherry up` refused because the server it was to adopt held the port."""
    monkeypatch.setattr(supervisor, "lock_path", lambda s, name: tmp_path / f"{name}.lock")
    with socket.create_server(("0.0.0.0", 0)) as server:
        made = NodeSettings(data_dir=tmp_path, api_port=server.getsockname()[1], roles=(SERVER, WORKER))
        taken = checks.ports(made)[0]
        assert not taken.ok and f"(pid {os.getpid()})" in taken.detail
        lock = supervisor.hold(tmp_path / "server.lock")
        assert lock is not None
        try:
            assert checks.ports(made)[0].ok
        finally:
            os.close(lock.descriptor)


def test_routes_are_read_and_the_default_route_is_left_out() -> None:
    found = {(route.link, route.to) for route in routes.table(ROUTES)}
    assert found == {("eth0", IPv4Network("192.0.2.0/24")), ("w1234567", IPv4Network("10.244.0.2/32"))}


@pytest.mark.parametrize(("error", "text"), [
    pytest.param(OSError(errno.ENOSPC, "No space left on device", "/d/x"), "no space left on device: '/d/x'; free some space on that disk",
                 id="full disk"),
    pytest.param(OSError(errno.EROFS, "Read-only file system"), "read-only file system; that disk is read-only", id="read-only disk"),
    pytest.param(TimeoutError(), "timed out", id="no words at all"),
])
def test_what_the_system_refuses_is_said_with_the_mend(error: OSError, text: str) -> None:
    assert machine_refuses(error).startswith(text)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_atomic_write_that_fails_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest: real("/dev/full", os.O_WRONLY) if str(path).endswith(".tmp") else real(path, *rest))
    with pytest.raises(OSError, match="No space left") as failed:
        atomic_file.write(tmp_path / "kept.json", b"x")
    assert failed.value.filename == str(tmp_path / "kept.json")
