"""Layer bytes: those that Go's archive/tar writes."""

import hashlib
import io
import socket
import tarfile
from pathlib import Path

import pytest

from wherry.buildpacks.lifecycle import tar
from wherry.buildpacks.lifecycle.tar import FILE, FOLDER, SYMLINK, Member
from wherry.kit.errors import Invalid

# Made once with Go 1.x: tar.Writer over headers of these names, modes, owners, links and bodies (see MEMBERS).
GO_SHA256 = "5669e56778a7036c7824c6dc2139276a6a43fc6fd228d5f1b072b34eed95488c"
MEMBERS = [
    Member("/layers", FOLDER, 0o755, 0, 0),
    Member("/layers/a", FILE, 0o644, 1000, 1000, data=b"hello"),
    Member("/layers/l", SYMLINK, 0o777, 1000, 1000, link="../x"),
    Member("/layers/" + "d" * 90 + "/" + "e" * 90, FILE, 0o644, 1000, 1000),
    Member("/layers/" + "f" * 120, FILE, 0o644, 1000, 1000, data=b"xy"),
    Member("/layers/ü.txt", FILE, 0o600, 1000, 1000, data=b"xy"),
    Member("/layers/s", SYMLINK, 0o777, 1000, 1000, link="g" * 130),
    Member("/layers/big", FILE, 0o644, 3000000, 1000, data=b"z"),
    Member("/layers/" + "d/" * 130 + "x", FILE, 0o644, 1000, 1000),
]


def written(members: list[Member]) -> tuple[bytes, str]:
    file = io.BytesIO()
    writer = tar.Writer(file)
    for member in members:
        writer.add(member)
    writer.close()
    return file.getvalue(), writer.digest


def test_bytes_are_those_of_go() -> None:
    data, digest = written(MEMBERS)
    assert hashlib.sha256(data).hexdigest() == GO_SHA256
    assert digest == f"sha256:{GO_SHA256}"


def test_another_reader_finds_every_member() -> None:
    with tarfile.open(fileobj=io.BytesIO(written(MEMBERS)[0])) as archive:
        found = archive.getmembers()
    assert [member.name for member in found] == [member.name for member in MEMBERS]
    assert found[7].uid == 3000000
    assert {member.mtime for member in found} == {315532801}


def test_tree_is_walked_in_order_without_sockets(tmp_path: Path) -> None:
    for name in ("b", "a", "Z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with socket.socket(socket.AF_UNIX) as left_out:
        left_out.bind(str(tmp_path / "s"))
        names = [member.name for member in tar.tree(tmp_path, "/w", 1, 2)]
    assert names == ["/w", "/w/Z", "/w/Z/file", "/w/a", "/w/a/file", "/w/b", "/w/b/file"]


def test_file_times_and_owners_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    first = written(list(tar.tree(tmp_path, "/w", 1, 2)))
    (tmp_path / "f").touch()
    assert written(list(tar.tree(tmp_path, "/w", 1, 2))) == first


def test_pipe_cannot_be_in_a_layer(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "p")
    with pytest.raises(Invalid, match="no devices or pipes"):
        list(tar.tree(tmp_path, "/w", 1, 2))
