"""Layers on disk: whiteouts, links, hostile names; images made, found, unpacked, removed."""

import io
import os
import stat
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.container.content import builder
from wherry.container.content.content import Content
from wherry.container.content.extract import LayerBroken, extract
from wherry.container.content.images import ContentImages
from wherry.container.content.settings import ContentSettings
from wherry.container.image.layer_tar import Entry
from wherry.testing.images import busybox_image, content_in, image_of


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return content_in(tmp_path / "content")


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    file.seek(0)
    return file


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def unpack(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes], lower: tuple[Path, ...] = ()) -> tuple[Path, bool]:
    target = tmp_path / f"layer{len(list(tmp_path.iterdir()))}"
    target.mkdir()
    return target, extract(tar_of(*members), target, lower, ContentSettings(root=tmp_path))


@pytest.mark.parametrize("members", [
    pytest.param([(member("../../evil"), b"x")], id="dots in a name"),
    pytest.param([(member("/evil"), b"x")], id="absolute name"),
    pytest.param([(member("a", tarfile.SYMTYPE, "/"), b""), (member("a/evil"), b"x")], id="through a link to the root"),
    pytest.param([(member("a", tarfile.SYMTYPE, "../../.."), b""), (member("a/evil"), b"x")], id="through a link upwards"),
    pytest.param([(member("evil", tarfile.SYMTYPE, "/etc/hostile"), b""), (member("evil"), b"x")], id="file over a link"),
])
def test_nothing_is_written_outside_the_folder(tmp_path, members):
    target, _ = unpack(tmp_path, *members)
    assert (target / "evil").read_bytes() == b"x"
    assert not (target / "evil").is_symlink()
    assert not Path("/evil").exists() and not Path("/etc/hostile").exists() and not (tmp_path / "evil").exists()


@pytest.mark.parametrize("members", [
    pytest.param([(member("a", tarfile.LNKTYPE, "../../etc/passwd"), b"")], id="hard link out"),
    pytest.param([(member("b", tarfile.SYMTYPE, "b"), b""), (member("b/x"), b"")], id="link to itself"),
    pytest.param([(member("d", tarfile.DIRTYPE), b""), (member("e", tarfile.LNKTYPE, "d"), b"")], id="hard link to a folder"),
])
def test_impossible_members_are_refused(tmp_path, members):
    with pytest.raises(LayerBroken):
        unpack(tmp_path, *members)


def test_whiteouts_become_what_overlay_understands(tmp_path):
    target, _ = unpack(
        tmp_path, (member("d", tarfile.DIRTYPE, mode=0o755), b""), (member("d/.wh.gone"), b""), (member("o/.wh..wh..opq"), b""),
    )
    info = (target / "d/gone").lstat()
    assert stat.S_ISCHR(info.st_mode) and info.st_rdev == 0
    assert os.getxattr(target / "o", "trusted.overlay.opaque") == b"y"


def test_a_folder_that_comes_back_after_its_whiteout_is_opaque(tmp_path):
    target, _ = unpack(tmp_path, (member(".wh.d"), b""), (member("d", tarfile.DIRTYPE, mode=0o755), b""))
    assert os.getxattr(target / "d", "trusted.overlay.opaque") == b"y"


def test_parents_that_the_layer_does_not_list_look_as_below(tmp_path):
    lower, leans = unpack(tmp_path, (member("tmp", tarfile.DIRTYPE, mode=0o1777), b""), (member("bin", tarfile.SYMTYPE, "usr/bin"), b""))
    assert not leans
    target, leans = unpack(tmp_path, (member("tmp/x"), b"1"), (member("bin/tool"), b"2"), lower=(lower,))
    assert leans
    assert stat.S_IMODE((target / "tmp").stat().st_mode) == 0o1777
    assert (target / "usr/bin/tool").read_bytes() == b"2"


VALID = tar_of(
    (member("d", tarfile.DIRTYPE, mode=0o755), b""), (member("d/é"), b"12345" * 300), (member("l", tarfile.SYMTYPE, "d"), b""),
    (member("l/x"), b"1"), (member("h", tarfile.LNKTYPE, "d/é"), b""), (member("d/.wh.y"), b""), (member("p" * 150), b"2"),
).getvalue()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=12), st.integers(0, len(VALID)))
@pytest.mark.slow
def test_a_damaged_layer_is_unpacked_or_refused_but_never_leaves_its_folder(changes, end):
    data = bytearray(VALID)
    for at, value in changes:
        data[at] = value
    for start in range(0, len(data), 512):  # a checksum that fits, so that the damage is looked at
        if data[start + 257 : start + 262] == b"ustar":
            header = bytes(data[start : start + 148]) + b" " * 8 + bytes(data[start + 156 : start + 512])
            data[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "in", "layer")
        target.mkdir(parents=True)
        try:
            extract(io.BytesIO(bytes(data[:end])), target, (), ContentSettings(root=target, layer_bytes_max=1 << 20))
        except LayerBroken:
            pass
        assert [path.name for path in Path(folder).iterdir()] == ["in"]
        assert [path.name for path in Path(folder, "in").iterdir()] == ["layer"]


async def test_busybox_runs_from_its_unpacked_layers(content):
    image = await busybox_image(content)
    images = ContentImages(content)
    assert await images.present("wherry.local/busybox:1.35") == image
    assert await images.present(image.id) == image
    (folder,) = await images.unpacker.layers(image.id)
    assert (Path(folder) / "bin/sh").readlink() == Path("busybox")
    assert (await images.unpacker.config(image.id))["config"]["Cmd"] == ["sh"]
    assert await images.pull("wherry.local/busybox:1.35") == image


async def test_another_process_sees_an_image_at_its_next_call(content):
    other = ContentImages(Content(content.settings))
    assert await other.present("app:v1") is None
    image = await image_of(content, "app:v1", [[Entry("a", data=b"1")]])
    assert await other.present("docker.io/library/app:v1") == image


async def test_removing_an_image_leaves_what_others_need(tmp_path):
    content = content_in(tmp_path / "content", grace_s=-5.0)
    shared = [Entry("a", data=b"1")]
    one = await image_of(content, "one:v1", [shared, [Entry("b", data=b"2")]])
    two = await image_of(content, "two:v1", [shared, [Entry("c", data=b"3")]])
    images = ContentImages(content)
    await images.unpacker.layers(one.id)
    kept = await images.unpacker.layers(two.id)
    await images.remove("one:v1")
    assert await images.present("one:v1") is None and await images.present(one.id) is None
    assert await images.unpacker.layers(two.id) == kept
    assert sorted(path.name for path in content.settings.layers_dir.iterdir()) == sorted(Path(path).name for path in kept)
    await images.remove("two:v1")
    await images.remove("two:v1")
    assert list(content.blobs.all()) == [] and list(content.settings.layers_dir.iterdir()) == []


async def test_what_a_build_just_added_survives_a_collection(content):
    image = await image_of(content, "one:v1", [[Entry("a", data=b"1")]])
    images = ContentImages(content)
    opened = content.open_image(image.id)
    await images.remove("one:v1")
    assert await builder.write_image(content, opened.config, opened.layers, ["two:v1"]) is not None


async def test_pruning_forgets_what_rebuilds_left_behind(tmp_path):
    content = content_in(tmp_path / "content", grace_s=-5.0)
    old = await image_of(content, "app:v1", [[Entry("a", data=b"1")]])
    await builder.attach(content, "app:v1", b"{}", media_type="application/spdx+json", name="sbom")
    new = await image_of(content, "app:v1", [[Entry("a", data=b"2")]])
    await builder.attach(content, "app:v1", b"{}", media_type="application/spdx+json", name="sbom")
    images = ContentImages(content)
    assert await images.prune(3600.0) == 0
    assert await images.present(old.id) is not None
    assert await images.prune(-5.0) == 1
    assert await images.present(old.id) is None
    assert await images.present("app:v1") == new
    assert len(content.index.manifests()) == 2


async def test_equal_files_give_equal_images(tmp_path):
    first, second = content_in(tmp_path / "1"), content_in(tmp_path / "2")
    entries = [Entry("b", data=b"2"), Entry("a", data=b"1")]
    assert (await image_of(first, "x:1", [entries])).digests == (await image_of(second, "x:1", [entries[::-1]])).digests


async def test_a_layer_that_is_not_what_the_config_says_is_refused(content):
    image = await image_of(content, "one:v1", [[Entry("a", data=b"1")]])
    opened = content.open_image(image.id)
    wrong = content.open_image((await image_of(content, "two:v1", [[Entry("a", data=b"2")]])).id).layers[0]
    config = {**opened.config, "created": "2026-01-01T00:00:00Z"}
    lying = await builder.write_image(content, config, [type(wrong)(opened.layers[0].diff_id, wrong.blob)], ["three:v1"])
    with pytest.raises(LayerBroken, match="diff id"):
        await ContentImages(content).unpacker.layers(lying.id)
