"""A platform over plain processes, with buildpacks written as shell in the test."""

from dataclasses import replace
from pathlib import Path

from wherry.buildpacks.platform.build import BuildResult, Platform
from wherry.buildpacks.platform.settings import BuildOptions, BuildSettings
from wherry.buildpacks.platform.workshop import ProcessWorkshop
from wherry.container.content import builder
from wherry.container.content.content import Content, OpenedImage
from wherry.container.content.images import ContentImages
from wherry.container.content.settings import ContentSettings

NAME = "example.test/app:1"


def write_pack(root: Path, pack_id: str, *, detect: str = "exit 0", build: str = ":", api: str = "0.12", extra: str = "") -> Path:
    """A buildpack whose programs are these shell lines."""
    folder = root / pack_id.replace("/", "_")
    (folder / "bin").mkdir(parents=True)
    (folder / "buildpack.toml").write_text(f'api = "{api}"\n[buildpack]\nid = "{pack_id}"\nversion = "1.0"\n{extra}\n')
    for name, text in (("detect", detect), ("build", build)):
        path = folder / "bin" / name
        path.write_text(f"#!/bin/sh\nset -e\n{text}\n")
        path.chmod(0o755)
    return folder


def layer(name: str, flags: str, *lines: str, metadata: str = "") -> str:
    """Shell that makes a layer with some flags of "launch build cache"."""
    types = "\\n".join(f"{flag} = true" for flag in flags.split())
    return "\n".join([
        f'mkdir -p "$CNB_LAYERS_DIR/{name}"', *lines,
        f"printf '[types]\\n{types}\\n[metadata]\\n{metadata}\\n' > \"$CNB_LAYERS_DIR/{name}.toml\"",
    ])


class Lines:
    """Progress as a list."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.text = b""

    def phase(self, name: str) -> None:
        self.lines.append(f"===> {name}")

    def line(self, text: str) -> None:
        self.lines.append(text)

    def output(self, data: bytes) -> None:
        self.text += data


class Shop:
    """One content store and one platform."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content = Content(ContentSettings(root / "content"))
        self.settings = BuildSettings(root / "data", root / "cache")
        self.platform = Platform(self.settings, ContentImages(self.content), ProcessWorkshop())
        self.app = root / "app"
        self.app.mkdir()
        self.progress = Lines()

    async def with_images(self) -> "Shop":
        for name, env in (("build", ["CNB_USER_ID=1000", "CNB_GROUP_ID=1000", "PATH=/usr/bin:/bin"]), ("run", ["PATH=/usr/bin:/bin"])):
            config = builder.new_config()
            config["config"] = {"Env": env, "User": "1001:1000", "Labels": {"io.buildpacks.base.distro.name": "debian"}}
            await builder.write_image(self.content, config, [], [f"example.test/{name}:1"])
        return self

    async def build(self, *packs: Path, options: BuildOptions | None = None, name: str = NAME) -> BuildResult:
        """Build the app with these buildpacks as the only group."""
        order = "\n".join(f'[[order.group]]\nid = "{pack.name.replace("_", "/")}"' for pack in packs)
        uris = "\n".join(f'[[buildpacks]]\nuri = "{pack}"' for pack in packs)
        path = self.root / "builder.toml"
        path.write_text(
            f'[[order]]\n{order}\n{uris}\n[build]\nimage = "example.test/build:1"\n[[run.images]]\nimage = "example.test/run:1"\n'
        )
        chosen = replace(options or BuildOptions(), may_lack_process=True)
        self.progress = Lines()
        return await self.platform.build(self.app, [name], replace(chosen, builder=chosen.builder or path), self.progress)

    def image(self, name: str = NAME) -> OpenedImage:
        return self.content.open_image(name)
