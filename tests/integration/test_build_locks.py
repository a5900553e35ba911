"""Each lock file in the real build image, by the tool that wrote it: what it pins is in the image, and answers.

A build takes half a minute: `make test` builds one lock of each row here, `make locks` all of them.
"""

import asyncio
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from test_build_containers import CACHE, NAME, Lines, Yard, ended, remains

from wherry.buildpacks.platform.settings import BuildOptions
from wherry.container.assemble.assemble import assemble_recipe, find_recipe
from wherry.container.content.content import Content
from wherry.container.content.settings import ContentSettings
from wherry.container.content.snapshots import layer_tar

pytestmark = [pytest.mark.node, pytest.mark.slow, pytest.mark.timeout(600)]
LOCKS = Path(__file__).parents[1] / "unit/buildpacks/locks"


def share(*locks: str) -> tuple[str, ...]:
    """All of them, or the first."""
    return locks if os.environ.get("WHERRY_LOCKS") == "every" else locks[:1]


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A content store with the images that builds stand on."""
    root = tmp_path_factory.mktemp("assembled")
    content = Content(ContentSettings(root, registry="registry.wherry.local:5050"))

    async def assemble() -> None:
        for recipe in ("build", "run-python", "run-node"):
            await assemble_recipe(find_recipe(recipe), content=content, cache_dir=CACHE)

    asyncio.run(assemble())
    return root


@pytest.fixture
def yard(tmp_path: Path, assembled: Path) -> Yard:
    shutil.copytree(assembled, tmp_path / "content", copy_function=os.link)
    return Yard(tmp_path)


async def built(yard: Yard, lock: str, program: str, text: str) -> set[str]:
    """Build `text` beside a lock twice, the second time with nothing to install; the files of the image's own layers."""
    shutil.copytree(LOCKS / lock, yard.app, dirs_exist_ok=True)
    (yard.app / program).write_text(text)
    lines = Lines()
    await yard.platform.build(yard.app, [NAME], BuildOptions(), lines)
    assert " pins" in lines.text, lines.text
    again = Lines()
    await yard.platform.build(yard.app, [NAME], BuildOptions(), again)
    assert "unchanged: using those of the last image" in again.text, again.text
    assert remains() == []
    names: set[str] = set()
    for layer in yard.content.open_image(NAME).layers[1:]:
        with layer_tar(yard.content, layer) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            names |= {member.name for member in archive}
    return names


async def said(yard: Yard) -> str:
    """What the image's process says before it ends by itself."""
    async with yard.running(NAME) as engine:
        assert (await ended(engine)).exit_code == 0
    return (yard.root / "c.log").read_text()


@pytest.mark.parametrize("lock", share("uv", "poetry", "pdm", "pipenv"))
async def test_a_python_lock_is_followed_in_the_build_image(yard: Yard, lock: str) -> None:
    names = await built(yard, lock, "app.py", "from importlib.metadata import version\n\nprint('blinker is ' + version('blinker'))\n")
    assert not any("iniconfig" in name for name in names), "a development dependency"
    assert "blinker is 1.9.0" in await said(yard)


@pytest.mark.parametrize("lock", share("pnpm", "yarn1", "yarn4"))
async def test_a_node_lock_is_followed_in_the_build_image(yard: Yard, lock: str) -> None:
    names = await built(yard, lock, "server.js", "console.log('ms is', require('ms/package.json').version, require('ms')('2 days'))\n")
    assert not any("/node_modules/inherits/" in name for name in names), "a development dependency"
    assert "ms is 2.1.3 172800000" in await said(yard)


@pytest.mark.parametrize("lock", share("uv-workspace", "poetry-workspace", "pdm-workspace", "pipenv-workspace"))
async def test_a_python_package_of_the_source_itself_is_installed(yard: Yard, lock: str) -> None:
    """A member of a workspace, a path: with what the lock pins for it, and built anew when its source is another."""
    names = await built(yard, lock, "app.py", "import lib\n\nprint('lib has ' + lib.BLINKER)\n")
    assert not any(name.startswith("workspace/") and ("egg-info" in name or "/build/" in name) for name in names)
    assert "lib has 1.9.0" in await said(yard)
    (yard.app / "packages/lib/lib.py").write_text("BLINKER = 'another'\n")
    await yard.platform.build(yard.app, [NAME], BuildOptions(), Lines())
    assert "lib has another" in await said(yard)


@pytest.mark.parametrize("lock", share("npm-workspace", "pnpm-workspace", "yarn1-workspace", "yarn4-workspace"))
async def test_a_node_workspace_is_linked_where_the_application_runs(yard: Yard, lock: str) -> None:
    names = await built(yard, lock, "server.js", "console.log('lib says ' + require('lib').days())\n")
    assert not any("/node_modules/inherits/" in name for name in names), "a development dependency"
    assert "lib says 172800000" in await said(yard)
