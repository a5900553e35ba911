"""The contract of `infrastructure.storage.contract.VolumeEngine`, as a suite to inherit from.

Subclass it and give a fixture `engine` that yields a prepared, empty engine; set `enforces_size`.
"""

import errno
import os
from pathlib import Path

import pytest

from wherry.infrastructure.storage.contract import VolumeEngine
from wherry.kit.errors import AlreadyExists, Invalid, NotFound, Unavailable

MIB = 1024**2


class VolumeSuite:
    """Every promise of the contract, one test each."""

    enforces_size = True

    async def test_a_created_volume_is_listed_and_not_mounted(self, engine: VolumeEngine) -> None:
        made = await engine.create("a", 16 * MIB)
        assert (made.size_bytes, made.path) == (16 * MIB, "")
        assert [v.name for v in await engine.volumes()] == ["a"]

    async def test_create_is_idempotent_and_refuses_another_size(self, engine: VolumeEngine) -> None:
        await engine.create("a", 16 * MIB)
        assert (await engine.create("a", 16 * MIB)).size_bytes == 16 * MIB
        with pytest.raises(AlreadyExists, match="not 33554432"):
            await engine.create("a", 32 * MIB)

    async def test_bytes_written_survive_unmounting(self, engine: VolumeEngine) -> None:
        await engine.create("a", 16 * MIB)
        mounted = await engine.mount("a")
        assert (await engine.mount("a")).path == mounted.path
        assert os.listdir(mounted.path) == []
        Path(mounted.path, "file").write_text("kept")
        await engine.unmount("a")
        await engine.unmount("a")
        again = await engine.mount("a")
        assert Path(again.path, "file").read_text() == "kept"

    async def test_writing_past_the_size_fails_with_no_space(self, engine: VolumeEngine) -> None:
        if not self.enforces_size:
            pytest.skip("this engine says that it does not enforce the size")
        await engine.create("a", 16 * MIB)
        path = Path((await engine.mount("a")).path, "big")
        with pytest.raises(OSError) as failed:
            path.write_bytes(b"x" * 17 * MIB)
        assert failed.value.errno == errno.ENOSPC

    async def test_an_expanded_volume_takes_more(self, engine: VolumeEngine) -> None:
        await engine.create("a", 16 * MIB)
        mounted = await engine.mount("a")
        try:
            assert (await engine.expand("a", 48 * MIB)).size_bytes == 48 * MIB
        except Unavailable:
            await engine.unmount("a")
            mounted = await engine.mount("a")
        Path(mounted.path, "big").write_bytes(b"x" * (24 * MIB))
        with pytest.raises(Invalid, match="cannot shrink"):
            await engine.expand("a", 16 * MIB)

    async def test_deleting_leaves_nothing_and_is_idempotent(self, engine: VolumeEngine) -> None:
        await engine.create("a", 16 * MIB)
        path = (await engine.mount("a")).path
        await engine.delete("a")
        await engine.delete("a")
        assert await engine.volumes() == [] and not os.path.exists(path)

    async def test_mounting_what_is_not_there_is_refused(self, engine: VolumeEngine) -> None:
        with pytest.raises(NotFound):
            await engine.mount("nothing")

    @pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 129, "a\0b"])
    async def test_a_name_that_is_no_file_name_is_refused(self, engine: VolumeEngine, name: str) -> None:
        with pytest.raises(Invalid):
            await engine.create(name, 16 * MIB)
