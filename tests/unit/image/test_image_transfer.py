"""Images as files: layouts out, layouts and `docker save` tars in."""

import tarfile
from pathlib import Path

import pytest

from wherry.container.content.content import Content
from wherry.container.content.transfer import export_images, import_images
from wherry.container.image.layer_tar import Entry
from wherry.kit.errors import Invalid, NotFound
from wherry.testing.images import content_in, image_of


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return content_in(tmp_path / "content")


async def test_a_layout_brings_the_same_images_elsewhere(content, tmp_path):
    one = await image_of(content, "one:v1", [[Entry("a", data=b"1")]])
    two = await image_of(content, "host:5/two:v2", [[Entry("a", data=b"1")], [Entry("b", data=b"2")]])
    await export_images(content, ["one:v1", "host:5/two:v2"], tmp_path / "x.tar")
    assert await import_images(content_in(tmp_path / "other"), tmp_path / "x.tar") == [one, two]
    with tarfile.open(tmp_path / "x.tar") as archive:
        archive.extractall(tmp_path / "layout", filter="data")
    assert await import_images(content_in(tmp_path / "third"), tmp_path / "layout") == [one, two]


async def test_a_docker_save_tar_is_read_without_an_index(content, tmp_path):
    image = await image_of(content, "one:v1", [[Entry("a", data=b"1")]], kind="")
    await export_images(content, ["one:v1"], tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as archive, tarfile.open(tmp_path / "docker.tar", "w") as target:
        for member in archive:
            if member.name not in ("index.json", "oci-layout"):
                target.addfile(member, archive.extractfile(member))
    (found,) = await import_images(content_in(tmp_path / "other"), tmp_path / "docker.tar")
    assert (found.id, found.tags) == (image.id, image.tags)


async def test_a_layout_with_changed_bytes_is_refused(content, tmp_path):
    await image_of(content, "one:v1", [[Entry("a", data=b"1")]])
    await export_images(content, ["one:v1"], tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as archive:
        archive.extractall(tmp_path / "layout", filter="data")
    layer = content.open_image("one:v1").layers[0].blob.digest
    (tmp_path / "layout/blobs/sha256" / layer[7:]).write_bytes(b"other")
    other = content_in(tmp_path / "other")
    with pytest.raises(Invalid, match="digest mismatch"):
        await import_images(other, tmp_path / "layout")
    assert other.index.images() == []


async def test_what_is_no_layout_is_refused(content, tmp_path):
    (tmp_path / "x").write_bytes(b"no tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid):
        await import_images(content, tmp_path / "x")
    with pytest.raises(Invalid, match="neither an OCI layout"):
        await import_images(content, tmp_path / "empty")
    with pytest.raises(NotFound):
        await import_images(content, tmp_path / "none")
