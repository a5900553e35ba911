"""Each lock file by the tool that wrote it, from the package index: what it pins is in the image, and nothing else."""

import shutil
import tarfile
from pathlib import Path

import pytest
from buildpack_harness import NAME, Lines, Shop
from test_buildpacks_packs import build

from wherry.buildpacks.platform.settings import BuildOptions
from wherry.container.content.snapshots import layer_tar

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LOCKS = Path(__file__).parent / "locks"


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    return await Shop(tmp_path).with_images()


async def built(shop: Shop, lock: str, start: str) -> set[str]:
    """Build with the index; the files of the image's application layers."""
    shutil.copytree(LOCKS / lock, shop.app, dirs_exist_ok=True)
    (shop.app / start).write_text("")
    await build(shop, {}, PIP_NO_INDEX="")
    assert b" pins" in shop.progress.text
    shop.progress = Lines()
    await shop.platform.build(shop.app, [NAME], BuildOptions(builder=shop.root / "builder.toml"), shop.progress)
    assert b"unchanged: using those of the last image" in shop.progress.text
    names: set[str] = set()
    for layer in shop.image().layers:
        with layer_tar(shop.content, layer) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            names |= {member.name for member in archive}
    return names


@pytest.mark.parametrize("lock", ["uv", "poetry", "pdm", "pipenv"])
async def test_python_lock_is_followed(lock: str, shop: Shop) -> None:
    names = await built(shop, lock, "app.py")
    assert any("site-packages/blinker-1.9.0.dist-info" in name for name in names)
    assert not any("iniconfig" in name for name in names), "a development dependency"
    packages = {name.partition("/site-packages/")[2].partition("/")[0] for name in names}
    assert packages <= {"", "blinker", "blinker-1.9.0.dist-info"}, "the tool itself"


@pytest.mark.skipif(not shutil.which("npm", path="/usr/bin:/bin"), reason="npm is not in /usr/bin")
@pytest.mark.parametrize("lock", ["pnpm", "yarn1", "yarn4"])
async def test_node_lock_is_followed(lock: str, shop: Shop) -> None:
    names = await built(shop, lock, "server.js")
    assert any(name.endswith("/node_modules/ms/package.json") for name in names)
    assert not any("/node_modules/inherits/" in name for name in names), "a development dependency"
