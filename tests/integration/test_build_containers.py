"""Builds in real containers, and what they make, run by the same engine."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from engine_harness import make_layer

from wherry.buildpacks.lifecycle.failure import PhaseFailed
from wherry.buildpacks.platform.build import Platform
from wherry.buildpacks.platform.container_workshop import ContainerWorkshop
from wherry.buildpacks.platform.host_network import HostNetwork
from wherry.buildpacks.platform.settings import BuildOptions, BuildSettings
from wherry.container.assemble.assemble import assemble_recipe, find_recipe
from wherry.container.content import builder
from wherry.container.content.content import Content
from wherry.container.content.images import ContentImages
from wherry.container.content.settings import ContentSettings
from wherry.container.image import layer_tar
from wherry.container.runtime.crun_engine import CrunEngine
from wherry.container.runtime.engine import ContainerConfig, ContainerStatus, Mount, SandboxConfig, Security, State
from wherry.container.runtime.settings import RuntimeSettings

pytestmark = pytest.mark.node
NAME = "registry.wherry.local:5050/test/app:1"
PATIENCE_S = 20.0
CACHE = Path(os.environ["WHERRY_CACHE_DIR"])


class Lines:
    def __init__(self) -> None:
        self.text = ""

    def phase(self, name: str) -> None:
        self.text += f"===> {name}\n"

    def line(self, text: str) -> None:
        self.text += f"{text}\n"

    def output(self, data: bytes) -> None:
        self.text += data.decode()


class Yard:
    """A content store, builds on it, and an engine for what they make."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.content = Content(ContentSettings(root / "content", registry="registry.wherry.local:5050"))
        self.images = ContentImages(self.content)
        self.settings = BuildSettings(root / "data", CACHE)
        self.workshop = ContainerWorkshop(self.settings, self.images.unpacker)
        self.platform = Platform(self.settings, self.images, self.workshop)
        self.app = root / "app"
        self.app.mkdir()

    async def busybox_images(self) -> None:
        """A build and a run image of one small layer, in place of the assembled ones."""
        folder = make_layer(self.root / "layer")
        for name in ("usr/bin", "layers", "workspace"):
            (folder / name).mkdir(parents=True)
        tar = self.root / "layer.tar"
        with tar.open("xb") as file:
            layer_tar.write(file, layer_tar.folder_entries(folder, owner=(0, 0), mtime=0))
        made = await builder.add_layer(self.content, tar)
        for name, env in (("build", ["CNB_USER_ID=1000", "CNB_GROUP_ID=1001"]), ("run", [])):
            config = builder.new_config()
            config["config"] = {"Env": ["PATH=/bin", *env], "User": "1000:1001"}
            await builder.write_image(self.content, config, [made], [f"example.test/{name}:1"])

    def pack(self, build: str) -> Path:
        """One buildpack and a builder of it."""
        folder = self.root / "pack"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "bin").mkdir(parents=True)
        (folder / "buildpack.toml").write_text('api = "0.12"\n[buildpack]\nid = "t/pack"\nversion = "1"\n')
        for name, text in (("detect", "exit 0"), ("build", build)):
            (folder / "bin" / name).write_text(f"#!/bin/sh\nset -e\n{text}\n")  # not executable: the build sees to that
        path = self.root / "builder.toml"
        path.write_text(
            f'[[order]]\n[[order.group]]\nid = "t/pack"\n[[buildpacks]]\nuri = "{folder}"\n'
            '[build]\nimage = "example.test/build:1"\n[[run.images]]\nimage = "example.test/run:1"\n'
        )
        return path

    @asynccontextmanager
    async def running(self, image: str, **env: str) -> AsyncIterator[CrunEngine]:
        """A container `c` of the image on the machine's network, with a read-only root."""
        run_dir = Path(f"/run/wherry-tb-{os.getpid()}")
        network = HostNetwork(run_dir)
        engine = CrunEngine(RuntimeSettings(run_dir, self.root / "run", run_dir.name), network, self.images.unpacker)
        (self.root / "tmp").mkdir(exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        found = await self.images.present(image)
        assert found is not None
        try:
            await engine.restore()
            await engine.create_sandbox(SandboxConfig("s", "s", "s", host_network=True))
            await engine.create_container(ContainerConfig(
                "c", "s", "c", 0, found.id, str(self.root / "c.log"), env=tuple(env.items()),
                mounts=(Mount(str(self.root / "tmp"), "/tmp"),),
                security=Security(read_only_root=True, drop_capabilities=("ALL",), no_new_privileges=True),
            ))  # fmt: skip
            await engine.start_container("c")
            yield engine
        finally:
            await engine.destroy_all()


async def ended(engine: CrunEngine) -> ContainerStatus:
    async with asyncio.timeout(PATIENCE_S):
        while (status := await engine.container_status("c")).state is not State.EXITED:
            await asyncio.sleep(0.02)
    return status


@pytest.fixture
async def yard(tmp_path: Path) -> Yard:
    made = Yard(tmp_path)
    await made.busybox_images()
    return made


def remains() -> list[str]:
    """What builds of this process could have left on the machine."""
    name = f"wherry-build-{os.getpid()}-"
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    cgroups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{name}*")]
    return mounts + cgroups + [str(path) for path in Path("/run").glob(f"{name}*")]


async def test_build_runs_as_the_build_user_and_its_image_starts(yard: Yard) -> None:
    build = """
id -u; id -g; pwd; touch "$CNB_LAYERS_DIR/of-mine"; ! touch /cnb/buildpacks/x 2>/dev/null; ! touch "$CNB_PLATFORM_DIR/x" 2>/dev/null
mkdir -p "$CNB_LAYERS_DIR/dep/bin"
printf '#!/bin/sh\\necho "from the layer: $(cat /workspace/word) $1 $(id -u)"' > "$CNB_LAYERS_DIR/dep/bin/say"
chmod +x "$CNB_LAYERS_DIR/dep/bin/say"
printf '[types]\\nlaunch = true\\n' > "$CNB_LAYERS_DIR/dep.toml"
printf '[[processes]]\\ntype = "web"\\ncommand = ["say"]\\nargs = ["x y"]\\n' > "$CNB_LAYERS_DIR/launch.toml"
"""
    lines = Lines()
    (yard.app / "word").write_text("hello")
    (yard.app / "word").chmod(0o600)
    await yard.platform.build(yard.app, [NAME], BuildOptions(builder=yard.pack(build)), lines)
    assert "1000\n1001\n/workspace\n" in lines.text
    assert remains() == []
    async with yard.running(NAME) as engine:
        assert (await ended(engine)).exit_code == 0
    assert "from the layer: hello x y 1000" in (yard.root / "c.log").read_text()


async def test_failed_build_leaves_nothing_on_the_machine(yard: Yard) -> None:
    with pytest.raises(PhaseFailed, match="ended with code 3"):
        await yard.platform.build(yard.app, [NAME], BuildOptions(builder=yard.pack("sleep 1000 & exit 3")), Lines())
    assert remains() == []
    assert list(yard.settings.work_dir.iterdir()) == []


async def test_cancelled_build_leaves_nothing_on_the_machine(yard: Yard) -> None:
    began = asyncio.Event()

    class Watching(Lines):
        def output(self, data: bytes) -> None:
            began.set()

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        options = BuildOptions(builder=yard.pack("echo begun; sleep 1000"))
        running = tasks.create_task(yard.platform.build(yard.app, [NAME], options, Watching()))
        await began.wait()
        running.cancel()
    assert remains() == []


async def test_two_builds_at_once_do_not_disturb_each_other(yard: Yard) -> None:
    options = BuildOptions(builder=yard.pack('echo "$CNB_TARGET_OS" > made; sleep 0.2'), may_lack_process=True)
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(yard.platform.build(yard.app, [f"{NAME}-{n}"], options, Lines())) for n in (1, 2)]
    assert both[0].result().image.id == both[1].result().image.id
    assert remains() == []


async def test_a_buildpack_rewrites_the_sbom_of_its_layer_in_the_second_build_too(yard: Yard) -> None:
    """What the second build restores belonged to root, and the buildpack's user could not write it: code 51."""
    build = """
mkdir -p "$CNB_LAYERS_DIR/dep"
[ -e "$CNB_LAYERS_DIR/dep.sbom.cdx.json" ] && echo "the last one: $(cat "$CNB_LAYERS_DIR/dep.sbom.cdx.json")"
printf '{"bomFormat": "CycloneDX", "serial": "%s"}' "$(cat word)" > "$CNB_LAYERS_DIR/dep.sbom.cdx.json"
printf '[types]\\nlaunch = true\\ncache = true\\n' > "$CNB_LAYERS_DIR/dep.toml"
printf '[[processes]]\\ntype = "web"\\ncommand = ["true"]\\n' > "$CNB_LAYERS_DIR/launch.toml"
"""
    path = yard.pack(f"id -u\n{build}")
    pack = yard.root / "pack/buildpack.toml"
    pack.write_text(pack.read_text().replace('version = "1"', 'version = "1"\nsbom-formats = ["application/vnd.cyclonedx+json"]'))
    said = []
    for word in ("first", "second"):
        (yard.app / "word").write_text(word)
        lines = Lines()
        await yard.platform.build(yard.app, [NAME], BuildOptions(builder=path), lines)
        said.append(lines.text)
    assert all("1000\n" in text for text in said), "not as root, who may write anything"
    assert "the last one" not in said[0] and '"serial": "first"' in said[1]
    assert remains() == []


async def test_remains_of_a_killed_build_are_removed_by_the_next(yard: Yard) -> None:
    dead = 4_194_303  # the highest process id there can be; nothing has it
    run_dir = Path(f"/run/wherry-build-{dead}-1")
    run_dir.mkdir()
    (yard.settings.work_dir / f"{dead}-deadbeef").mkdir(parents=True)
    await yard.workshop.remove_stale()
    assert not run_dir.exists()
    assert list(yard.settings.work_dir.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_python_and_node_applications_build_and_answer(tmp_path: Path) -> None:
    """With the real images, assembled from packages, and real pip and npm."""
    yard = Yard(tmp_path)
    for recipe in ("build", "run-python", "run-node"):
        await assemble_recipe(find_recipe(recipe), content=yard.content, cache_dir=CACHE)
    (yard.app / "requirements.txt").write_text("flask==3.1.3\ngunicorn==27.0.1\n")
    (yard.app / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n@app.get('/')\ndef hello(): return 'from python'\n")
    await yard.platform.build(yard.app, [NAME], BuildOptions(), Lines())
    await answers(yard, "from python")
    again = await yard.platform.build(yard.app, [NAME], BuildOptions(), Lines())
    assert again.layers_added == 0
    shutil.rmtree(yard.app)
    shutil.copytree(Path(__file__).parents[2] / "examples/shop/services/orders", yard.app)
    (yard.app / "server.js").write_text(
        "const app = require('express')(); app.get('/', (q, r) => r.send('from node')); app.listen(process.env.PORT); process.on('SIGTERM', () => process.exit(0))"
    )
    await yard.platform.build(yard.app, [NAME], BuildOptions(), Lines())
    await answers(yard, "from node")


async def answers(yard: Yard, text: str) -> None:
    """The image of NAME serves `text` on $PORT, and ends within its grace time."""
    port = 20000 + os.getpid() % 10000
    async with yard.running(NAME, PORT=str(port)) as engine:
        async with asyncio.timeout(PATIENCE_S):
            while text not in await fetched(port):
                await asyncio.sleep(0.1)
        await engine.stop_container("c", grace_s=10)
        assert (await engine.container_status("c")).exit_code in (0, 143)


async def fetched(port: int) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        data = await reader.read()
        writer.close()
        return data.decode()
    except OSError:
        return ""
