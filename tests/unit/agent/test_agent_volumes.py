"""Volumes as files: payloads, the atomic writer, ownership, subPaths."""

import base64
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_rig import container, pod
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.kit.errors import Invalid, Unsupported
from wherry.orchestration.agent.references.objects import PodReferences, names_used
from wherry.orchestration.agent.volumes import atomic_writer, host_path, ownership, subpath
from wherry.orchestration.agent.volumes.payload import File, PayloadInputs, check_path, payload

NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)
REFERENCES = PodReferences(
    config_maps={"c": {"data": {"a": "1", "b": "2"}, "binaryData": {"bin": base64.b64encode(b"\x00").decode()}}},
    secrets={"s": {"data": {"k": base64.b64encode(b"pw").decode()}}},
)


def built(kind: str, source: dict[str, Any], subject: dict[str, Any] | None = None, **tokens: str) -> dict[str, File]:
    inputs = PayloadInputs(REFERENCES, {"cpu": "4"}, {int(k[1:]): v for k, v in tokens.items()})
    return payload(subject or pod(), kind, source, inputs)


def test_config_map_gives_text_and_binary_files() -> None:
    assert built("configMap", {"name": "c", "defaultMode": 0o400}) == {
        "a": File(b"1", 0o400), "b": File(b"2", 0o400), "bin": File(b"\x00", 0o400),
    }  # fmt: skip


def test_items_choose_paths_and_modes() -> None:
    source = {"name": "c", "items": [{"key": "a", "path": "x/y", "mode": 0o600}]}
    assert built("configMap", source) == {"x/y": File(b"1", 0o600)}


@pytest.mark.parametrize(
    ("kind", "source", "text"),
    [
        pytest.param("configMap", {"name": "no"}, 'configmap "no" not found', id="map"),
        pytest.param("secret", {"secretName": "no"}, 'secret "no" not found', id="secret"),
        pytest.param(
            "configMap", {"name": "c", "items": [{"key": "z", "path": "z"}]},
            "configmap references non-existent config key: z", id="key",
        ),
        pytest.param(
            "secret", {"secretName": "s", "items": [{"key": "z", "path": "z"}]},
            "references non-existent secret key: z", id="secret key",
        ),
    ],
)  # fmt: skip
def test_missing_payload_is_an_error_unless_optional(kind: str, source: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        built(kind, source)
    assert built(kind, {**source, "optional": True}) == {}


def test_projected_volume_combines_sources() -> None:
    source = {
        "sources": [
            {"serviceAccountToken": {"path": "token"}},
            {"configMap": {"name": "c", "items": [{"key": "a", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]
    }
    found = built("projected", source, _0="jwt")
    assert found == {"token": File(b"jwt"), "ca.crt": File(b"1"), "ns": File(b"default")}
    owned = built("projected", source, pod("web", container(), securityContext={"runAsUser": 7}), _0="jwt")
    assert owned["token"] == File(b"jwt", 0o600, 7)


def test_unknown_projection_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="clusterTrustBundle"):
        built("projected", {"sources": [{"clusterTrustBundle": {"path": "x"}}]})


@pytest.mark.parametrize("path", ["/a", "../a", "a/../b", "..data", "", "x" * 256])
def test_paths_that_leave_the_volume_are_refused(path: str) -> None:
    with pytest.raises(Invalid):
        check_path(path)


def test_names_used_are_found_in_volumes_and_containers() -> None:
    body = container(envFrom=[{"configMapRef": {"name": "e"}}], env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "k"}}}])
    volumes = [{"name": "v", "projected": {"sources": [{"secret": {"name": "p"}}]}}, {"name": "w", "configMap": {"name": "c"}}]
    assert names_used(pod("web", body, volumes=volumes)) == ({"e", "c"}, {"k", "p"})


def read(folder: Path) -> dict[str, bytes]:
    """What a container sees."""
    names = [name for name in os.listdir(folder) if not name.startswith("..")]
    found: dict[str, bytes] = {}
    for name in names:
        path = folder / name
        if path.is_dir():
            found |= {f"{name}/{inner}": data for inner, data in read(path).items()}
        else:
            found[name] = path.read_bytes()
    return found


names_of_files = st.text("abc", min_size=1, max_size=3)
payloads = st.dictionaries(names_of_files, st.binary(max_size=20).map(File), max_size=4)


@given(st.lists(payloads, min_size=1, max_size=4))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_writer_always_shows_the_newest_payload_and_nothing_else(tmp_path: Path, history: list[dict[str, File]]) -> None:
    folder = Path(os.path.join(tmp_path, os.urandom(4).hex()))
    folder.mkdir()
    for step, files in enumerate(history):
        atomic_writer.write(folder, files, now=NOW + timedelta(seconds=step))
        assert read(folder) == {name: file.data for name, file in files.items()}
        hidden = [name for name in os.listdir(folder) if name.startswith("..") and name != "..data"]
        assert len(hidden) == 1, "only the current content is kept"


def test_writer_layout_is_upstreams(tmp_path: Path) -> None:
    assert atomic_writer.write(tmp_path, {"a/b": File(b"1", 0o640)}, now=NOW)
    assert os.readlink(tmp_path / "a") == "..data/a"
    assert os.readlink(tmp_path / "..data").startswith("..2026_11_23_06_00_00.")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o640


def test_equal_content_is_not_written_again(tmp_path: Path) -> None:
    files = {"a": File(b"1")}
    assert atomic_writer.write(tmp_path, files, now=NOW)
    before = os.readlink(tmp_path / "..data")
    assert not atomic_writer.write(tmp_path, files, now=NOW + timedelta(seconds=9))
    assert os.readlink(tmp_path / "..data") == before


def test_group_may_read_what_it_owns(tmp_path: Path) -> None:
    group = os.getgid()
    atomic_writer.write(tmp_path, {"a": File(b"1", 0o400)}, now=NOW, group=group)
    found = (tmp_path / "a").stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (group, 0o440)
    assert not atomic_writer.write(tmp_path, {"a": File(b"1", 0o400)}, now=NOW, group=group)


def test_ownership_is_recursive_and_skipped_when_the_root_fits(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    group = os.getgid()
    ownership.set_ownership(tmp_path, group, read_only=False, policy="Always")
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) & stat.S_ISGID
    assert stat.S_IMODE((tmp_path / "d" / "f").stat().st_mode) & 0o660 == 0o660
    (tmp_path / "d" / "f").chmod(0o600)
    ownership.set_ownership(tmp_path, group, read_only=False, policy="OnRootMismatch")
    assert stat.S_IMODE((tmp_path / "d" / "f").stat().st_mode) == 0o600


def test_sub_path_is_made_inside_the_volume(tmp_path: Path) -> None:
    with subpath.opened(tmp_path, "a/b") as found:
        assert os.path.realpath(found) == str((tmp_path / "a" / "b").resolve())
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o750


def test_sub_path_may_follow_links_that_stay_inside(tmp_path: Path) -> None:
    atomic_writer.write(tmp_path, {"a": File(b"1")}, now=NOW)
    with subpath.opened(tmp_path, "a") as found:
        assert Path(found).read_bytes() == b"1"


@pytest.mark.parametrize("target", ["/etc", "../..", "../../etc/passwd"])
def test_sub_path_never_leaves_the_volume(tmp_path: Path, target: str) -> None:
    (tmp_path / "evil").symlink_to(target)
    for path in ("evil", "evil/deeper"):
        with pytest.raises(Invalid, match="outside of the volume"), subpath.opened(tmp_path, path):
            pass
    assert not Path("/etc/deeper").exists()


@pytest.mark.parametrize(
    ("kind", "makes"),
    [
        pytest.param("DirectoryOrCreate", True, id="folder made"),
        pytest.param("FileOrCreate", True, id="file made"),
        pytest.param("Directory", False, id="folder missing"),
        pytest.param("Socket", False, id="socket missing"),
    ],
)
def test_host_path_types(tmp_path: Path, kind: str, makes: bool) -> None:
    path = str(tmp_path / "x")
    if makes:
        assert host_path.prepare(path, kind) == path and os.path.exists(path)
        return
    with pytest.raises(Invalid, match="hostPath type check failed"):
        host_path.prepare(path, kind)
