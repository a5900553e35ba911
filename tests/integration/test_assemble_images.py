"""Images from Debian packages by the machine's own apt: what is in them, that they are the same twice, what is refused."""

import json
from pathlib import Path

import pytest

from wherry.container.assemble import sbom
from wherry.container.assemble.assemble import Options, assemble_recipe, find_recipe, recipes_dir
from wherry.container.assemble.recipe import load
from wherry.container.assemble.resolve import NotResolvable
from wherry.container.content.content import Content
from wherry.container.content.images import ContentImages
from wherry.container.image import documents
from wherry.kit import process
from wherry.kit.errors import Invalid, NotFound
from wherry.testing.images import content_in

pytestmark = [pytest.mark.node, pytest.mark.skipif(not Path("/usr/lib/apt/apt-helper").exists(), reason="needs apt")]

RECIPE = """
name = "tools"
version = "1"
base = "ground"
packages = ["catatonit"]
run = [["/bin/busybox", "touch", "/made-by-run"]]
[[user]]
name = "app"
uid = 1000
gid = 1000
home = "/home/app"
[[folder]]
path = "/data"
mode = "1777"
[[file]]
path = "/bin/hello"
text = "#!/bin/sh\\necho hello\\n"
mode = "0755"
[[link]]
path = "/usr/bin/greet"
target = "hello"
[config]
entrypoint = ["catatonit", "--"]
cmd = ["hello"]
user = "app"
expose = ["80/tcp"]
[config.env]
COLOUR = "blue"
[cnb]
user = 1001
group = 1000
build = true
"""
GROUND = 'name = "ground"\nversion = "1"\npackages = ["busybox-static"]\nexclude = ["libc6"]\n[config]\ncmd = ["sh"]\nenv = {A = "1"}\n'


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return content_in(tmp_path / "content")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "ground.toml").write_text(GROUND)
    (folder / "tools.toml").write_text(RECIPE)
    return folder / "tools.toml"


async def test_a_recipe_becomes_an_image_on_its_base(content, recipe, tmp_path):
    image = await assemble_recipe(recipe, content=content, cache_dir=tmp_path / "cache", tag="team/tools:now")
    assert image.tags == ("docker.io/team/tools:now", "wherry.local/tools:1")
    assert image.config["Entrypoint"] == ["catatonit", "--"] and image.config["User"] == "1001:1000"
    assert {"A=1", "COLOUR=blue", "CNB_USER_ID=1001", "CNB_GROUP_ID=1000"} <= set(image.config["Env"])
    assert image.config["ExposedPorts"] == {"80/tcp": {}}
    ground, tools = map(Path, await ContentImages(content).unpacker.layers(image.id))
    assert (tools / "usr/bin/hello").stat().st_mode & 0o7777 == 0o755  # /bin is a link of the base
    assert not (tools / "bin").exists() and (ground / "bin").is_symlink()
    assert (tools / "data").stat().st_mode & 0o7777 == 0o1777
    assert (tools / "made-by-run").exists() and "app:x:1000:1000" in (tools / "etc/passwd").read_text()
    assert (tools / "var/lib/dpkg/status.d/catatonit").exists() and not (tools / "usr/share/man").exists()
    found = await process.run(["chroot", str(ground), "/bin/busybox", "echo", "works"], timeout_s=10)
    assert found == b"works\n"


async def test_the_same_recipe_and_lock_give_the_same_image_and_the_second_time_nothing_is_done(content, recipe, tmp_path):
    lines: list[str] = []
    first = await assemble_recipe(recipe, content=content, cache_dir=tmp_path / "cache", progress=lines.append)
    assert any("assembling" in line for line in lines)
    lines.clear()
    assert await assemble_recipe(recipe, content=content, cache_dir=tmp_path / "cache", progress=lines.append) == first
    assert lines == []
    other = content_in(tmp_path / "other")
    again = await assemble_recipe(recipe, content=other, cache_dir=tmp_path / "cache", options=Options(locked=True))
    assert (again.id, again.digests) == (first.id, first.digests)
    assert list((tmp_path / "cache" / "work").iterdir()) == []


async def test_the_bill_of_materials_is_attached_to_the_image(content, recipe, tmp_path):
    image = await assemble_recipe(recipe, content=content, cache_dir=tmp_path / "cache")
    (referrer,) = content.index.referrers("wherry.local/tools", content.open_image(image.id).manifest_digest)
    assert referrer.artifact_type == sbom.MEDIA_TYPE
    manifest = documents.parse(content.blobs.read(referrer.digest))
    document = json.loads(content.blobs.read(manifest.layers[0].digest))
    assert {"catatonit"} <= {package["name"] for package in document["packages"]} and document["spdxVersion"] == "SPDX-2.3"


async def test_mistakes_name_the_mend_and_leave_nothing(content, recipe, tmp_path):
    with pytest.raises(Invalid, match="assemble once without --locked"):
        await assemble_recipe(recipe, content=content, cache_dir=tmp_path / "cache", options=Options(locked=True))
    recipe.write_text('name = "tools"\nversion = "1"\npackages = ["no-such-package"]\n')
    with pytest.raises(NotResolvable, match="no-such-package"):
        await assemble_recipe(recipe, content=content, cache_dir=tmp_path / "cache")
    recipe.write_text('name = "tools"\nversion = "1"\nbase = "ground"\nrun = [["/bin/false"]]\n')
    with pytest.raises(process.CommandFailed):
        await assemble_recipe(recipe, content=content, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache" / "work").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    with pytest.raises(NotFound, match="busybox"):
        find_recipe("no-such-recipe")


@pytest.mark.parametrize("path", sorted(recipes_dir().glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_that_comes_with_wherry_can_be_read(path):
    recipe = load(path)
    assert recipe.name == path.stem and recipe.description
    assert recipe.lock_path.exists(), f"run `wherry assemble {recipe.name}` and add its lock file"
