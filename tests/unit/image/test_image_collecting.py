"""Collections that come at the worst moment: another process collects while this one is adding."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from wherry.container.content.collect import collect
from wherry.container.content.images import ContentImages
from wherry.container.content.index import StoredManifest
from wherry.container.image.layer_tar import Entry
from wherry.testing.images import content_in, image_of


async def test_an_image_that_is_collected_around_as_it_gets_its_name_is_found_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_in(tmp_path)
    other = content_in(tmp_path)  # as another process has it
    put = content.index.put_manifest

    def put_late(manifest: StoredManifest, tags: Iterable[str] = (), *rest: Any) -> None:
        collect(other, now=0.0)
        put(manifest, tags, *rest)

    monkeypatch.setattr(content.index, "put_manifest", put_late)
    image = await image_of(content, "app:1", [[Entry("d", data=b"1")]])
    collect(other, now=0.0)
    assert content.open_image(image.id).id == image.id
    assert len(await ContentImages(other).unpacker.layers(image.id)) == 1


async def test_an_image_whose_last_name_went_is_forgotten_and_one_of_the_same_id_with_a_name_is_not(tmp_path: Path) -> None:
    content = content_in(tmp_path)
    images = ContentImages(content)
    entries = [[Entry("d", data=b"1")]]
    kept = await image_of(content, "kept:1", entries)
    same = await image_of(content, "same:1", entries)
    gone = await image_of(content, "gone:1", [[Entry("d", data=b"2")]])
    assert kept.id == same.id
    await images.remove("gone:1")
    await images.remove("same:1")
    collect(content, now=0.0)
    assert content.index.images(gone.id) == []
    assert content.open_image(kept.id).id == kept.id


async def test_a_folder_that_is_renamed_while_a_collection_looks_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_in(tmp_path)
    old = content.settings.layers_dir / "old"
    old.mkdir()
    listed = [content.settings.layers_dir / ".tmp-being-unpacked", old]  # what was there a moment ago
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter(listed if folder == content.settings.layers_dir else ()))
    assert collect(content, now=2e10) == (0, 1)
    assert not old.exists()
