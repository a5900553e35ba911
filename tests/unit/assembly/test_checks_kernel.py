"""`doctor` tells what is missing, not what is merely not loaded yet, and who may not ask is not told that a port is taken."""

import errno
import os
import socket
from pathlib import Path

import pytest

from wherry.infrastructure.linux import abilities


@pytest.mark.parametrize(("listing", "text", "found"), [
    pytest.param("modules.dep", "kernel/fs/overlayfs/overlay.ko: \n", True, id="a module"),
    pytest.param("modules.dep", "kernel/fs/overlayfs/overlay.ko.xz: kernel/x.ko\n", True, id="a compressed module"),
    pytest.param("modules.builtin", "kernel/fs/overlayfs/overlay.ko\n", True, id="built in"),
    pytest.param("modules.dep", "kernel/fs/fuse/fuse.ko: \n", False, id="another one"),
])
def test_a_module_that_can_be_loaded_is_not_missing(tmp_path: Path, listing: str, text: str, found: bool) -> None:
    folder = tmp_path / os.uname().release
    folder.mkdir()
    (folder / listing).write_text(text)
    assert abilities.has_module("overlay", tmp_path) is found


@pytest.mark.parametrize(("number", "free"), [
    pytest.param(errno.EACCES, True, id="no right to a low port"),
    pytest.param(errno.EADDRNOTAVAIL, True, id="an address that comes later"),
    pytest.param(errno.EADDRINUSE, False, id="taken"),
])
def test_only_a_port_in_use_is_taken(monkeypatch: pytest.MonkeyPatch, number: int, free: bool) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert abilities.port_free(80) is free
