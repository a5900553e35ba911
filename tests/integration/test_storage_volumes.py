"""Both volume engines keep the contract; the loop engine recovers from deaths in the middle."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wherry.infrastructure.linux import loop_devices, mounts
from wherry.infrastructure.storage.loop_volumes import LoopVolumes
from wherry.testing.directory_volumes import DirectoryVolumes
from wherry.testing.volume_suite import MIB, VolumeSuite

pytestmark = pytest.mark.node


@pytest.fixture
async def loops(tmp_path: Path) -> AsyncIterator[LoopVolumes]:
    engine = LoopVolumes(tmp_path / "volumes")
    await engine.prepare()
    try:
        yield engine
    finally:
        await engine.unmount_all()
        root = str(tmp_path)
        assert not [m for m in mounts.table() if m.target.startswith(root)]
        assert not [d for d in loop_devices.devices() if d.backing_file.startswith(root)]


class TestLoopVolumes(VolumeSuite):
    @pytest.fixture
    def engine(self, loops: LoopVolumes) -> LoopVolumes:
        return loops


class TestDirectoryVolumes(VolumeSuite):
    enforces_size = False

    @pytest.fixture
    async def engine(self, tmp_path: Path) -> DirectoryVolumes:
        made = DirectoryVolumes(tmp_path / "volumes")
        await made.prepare()
        return made


async def test_another_process_finds_a_mounted_volume_mounted(loops: LoopVolumes, tmp_path: Path) -> None:
    await loops.create("a", 16 * MIB)
    path = (await loops.mount("a")).path
    successor = LoopVolumes(tmp_path / "volumes")
    await successor.prepare()
    assert (await successor.mount("a")).path == path
    assert len(loop_devices.devices_of(str(tmp_path / "volumes/a/image"))) == 1


async def test_remains_of_a_creation_that_died_are_removed(loops: LoopVolumes, tmp_path: Path) -> None:
    remains = tmp_path / "volumes" / ".making-b"
    remains.mkdir()
    (remains / "image").write_bytes(b"half")
    await loops.prepare()
    assert not remains.exists() and await loops.volumes() == []


async def test_an_expansion_that_died_before_resizing_is_finished_by_the_next_mount(loops: LoopVolumes, tmp_path: Path) -> None:
    await loops.create("a", 16 * MIB)
    os.truncate(tmp_path / "volumes/a/image", 64 * MIB)
    path = (await loops.mount("a")).path
    inside = os.statvfs(path)
    assert inside.f_blocks * inside.f_frsize > 40 * MIB


async def test_a_volume_is_let_go_also_when_the_mount_above_it_went_first(loops: LoopVolumes, tmp_path: Path) -> None:
    await loops.create("a", 16 * MIB)
    await loops.mount("a")
    mounts.unmount_below(str(tmp_path / "volumes"))
    await loops.mount("a")
    assert len(loop_devices.devices_of(str(tmp_path / "volumes/a/image"))) == 1, "the attached device is found again, not doubled"
    mounts.unmount_below(str(tmp_path / "volumes"))
    await loops.unmount("a")
    assert loop_devices.devices_of(str(tmp_path / "volumes/a/image")) == []
