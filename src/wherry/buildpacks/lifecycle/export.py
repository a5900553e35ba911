"""Phase 5, export: the layers on the run image, and the image under its names.

In:    the folders as the buildpacks left them (nothing runs in them any more), the base, the record of the last image.
Out:   `Exported`; the image is in the content store and nothing is visible of it before it is whole.
Order: buildpack layers, SBOM, application slices, application, launcher, config, process types: what changes least first.
Spec:  Platform API 0.15 "exporter"; layer bytes and history texts are the lifecycle's.
"""

import asyncio
import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wherry.buildpacks.lifecycle import image_config, launch_script, layers, tar, toml_text
from wherry.buildpacks.lifecycle.analyze import Analyzed
from wherry.buildpacks.lifecycle.build import Built
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed
from wherry.buildpacks.lifecycle.places import Places
from wherry.buildpacks.lifecycle.progress import Progress
from wherry.buildpacks.lifecycle.records import BuildRecord, LayerRecord, PackRecord, RunImageRecord
from wherry.buildpacks.lifecycle.tar import Member
from wherry.container.content import builder
from wherry.container.content.content import Content, Layer, OpenedImage
from wherry.container.image.service import Image
from wherry.kit.errors import Invalid

LAUNCHER_FILE = Path(__file__).parent / "launcher.sh"


@dataclass(frozen=True, slots=True)
class Target:
    """What to make: names, the base and what users should know it by, the default process."""

    names: tuple[str, ...]
    run_image: str
    run_mirrors: tuple[str, ...] = ()
    process: str = ""
    created: str = image_config.CREATED
    project: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exported:
    """The image; `tars` are the layers' files by diff id, for the cache; `reused` and `added` count layers."""

    image: Image
    record: BuildRecord
    tars: Mapping[str, Path]
    reused: int
    added: int


class Exporter:
    """One export."""

    def __init__(self, content: Content, places: Places, work: Path, analyzed: Analyzed, progress: Progress) -> None:
        self._content = content
        self._places = places
        self._work = work
        self._analyzed = analyzed
        self._known = frozenset(sha for sha, _ in analyzed.history)
        self._progress = progress
        self._layers: list[Layer] = []
        self._created_by: list[str] = []
        self._tars: dict[str, Path] = {}
        self._reused = 0

    async def export(self, built: Built, target: Target) -> Exported:
        """Make all layers and the image."""
        base = self._content.open_image(target.run_image)
        process = image_config.default_process(built, target.process)
        packs = [await self._buildpack(pack) for pack in built.group]
        record = BuildRecord(
            packs=tuple(packs),
            sbom=await self._sbom(),
            app=await self._app(built.slices),
            launcher=await self._launcher(),
            config=await self._config(built),
            process_types=await self._process_types(built),
            run_image=_run_image(base, target),
        )
        document = image_config.render(
            base.config, built, record, places=self._places, process=process, created_by=self._created_by,
            created=target.created, project=target.project,
        )  # fmt: skip
        image = await builder.write_image(self._content, document, [*base.layers, *self._layers], target.names)
        if process:
            self._progress.line(f"Setting default process type '{process}'")
        return Exported(image, record, self._tars, self._reused, len(self._layers) - self._reused)

    async def tar_of(self, folder: Path, name: str) -> str:
        """Write a layer's tar, for the cache; return its diff id."""
        owner = self._places.owner
        members = [*tar.parents(name, owner.uid, owner.gid), *tar.tree(folder, name, owner.uid, owner.gid)]
        return await asyncio.to_thread(self._write, members)

    async def _buildpack(self, pack: Buildpack) -> PackRecord:
        folder = self._places.layers.host / pack.escaped_id
        before = self._analyzed.previous.layers_of(pack.id)
        found: dict[str, LayerRecord] = {}
        for layer in layers.read_layers(folder):
            if not layer.is_launch:
                continue
            title = f"{pack.id}:{layer.name}"
            text = f"Layer: '{layer.name}', Created by buildpack: {pack.name}"
            if layer.has_content:
                name = f"{self._places.image_layers}/{pack.escaped_id}/{layer.name}"
                sha = await self.tar_of(folder / layer.name, name)
                await self._add(sha, title, text)
            else:
                sha = self._reuse_without_content(layer, before.get(layer.name), title, text)
            found[layer.name] = LayerRecord(sha, layer.metadata, layer.is_build, layer.is_launch, layer.is_cache)
        return PackRecord(pack.id, pack.version, found, layers.read_store(folder))

    def _reuse_without_content(self, layer: layers.Layer, before: LayerRecord | None, title: str, text: str) -> str:
        if layer.is_cache:
            raise PhaseFailed(Code.EXPORT, f"layer {title} is cache=true but has no contents")
        known = builder.known_layer(self._content, before.sha) if before is not None else None
        if before is None or known is None:
            raise PhaseFailed(Code.EXPORT, f"layer {title} has no contents, and there is no last image to take it from")
        self._progress.line(f"Reusing layer '{title}'")
        self._take(known, text, is_reused=True)
        return before.sha

    async def _sbom(self) -> str:
        folder = self._places.layers.host / "sbom" / "launch"
        if not folder.is_dir():
            return ""
        sha = await self.tar_of(folder, f"{self._places.image_layers}/sbom/launch")
        await self._add(sha, "buildpacksio/lifecycle:launch.sbom", "Software Bill-of-Materials")
        return sha

    async def _app(self, slices: Sequence[Sequence[str]]) -> tuple[str, ...]:
        root, name, owner = self._places.app.host, self._places.image_app, self._places.owner
        taken: set[str] = set()
        folders = {member.name: member for member in tar.tree(root, name, owner.uid, owner.gid) if member.kind == tar.FOLDER}
        shas = []
        for number, patterns in enumerate(slices, 1):
            paths = [path for path in matches(root, patterns) if path not in taken]
            members = _slice_members(root, name, paths, taken, folders, owner.uid, owner.gid)
            if not members:
                continue
            shas.append(await asyncio.to_thread(self._write, members))
            await self._add(shas[-1], f"app slice {number}", f"Application Slice: {number}")
        rest = [
            member for member in tar.tree(root, name, owner.uid, owner.gid)
            if member.name.removeprefix(f"{name}/") not in taken
        ]  # fmt: skip
        shas.append(await asyncio.to_thread(self._write, rest))
        title = "app" if not slices else f"app slice {len(slices) + 1}"
        await self._add(shas[-1], title, "Application Layer" if not slices else f"Application Slice: {len(slices) + 1}")
        return tuple(shas)

    async def _launcher(self) -> str:
        members = [
            *(Member(folder, tar.FOLDER, 0o755, 0, 0) for folder in ("/cnb", "/cnb/lifecycle")),
            Member(image_config.LAUNCHER, tar.FILE, 0o755, 0, 0, data=LAUNCHER_FILE.read_bytes()),
        ]
        sha = await asyncio.to_thread(self._write, members)
        await self._add(sha, "buildpacksio/lifecycle:launcher", "Buildpacks Application Launcher")
        return sha

    async def _config(self, built: Built) -> str:
        owner, folder = self._places.owner, f"{self._places.image_layers}/config"
        files = {
            "launch.sh": launch_script.render(built.group, built.processes),
            "metadata.toml": toml_text.dumps(built.document()),
        }
        members = [
            *tar.parents(folder, owner.uid, owner.gid),
            Member(folder, tar.FOLDER, 0o755, owner.uid, owner.gid),
            *(
                Member(f"{folder}/{name}", tar.FILE, 0o644, owner.uid, owner.gid, data=text.encode())
                for name, text in files.items()
            ),
        ]
        sha = await asyncio.to_thread(self._write, members)
        await self._add(sha, "buildpacksio/lifecycle:config", "Buildpacks Launcher Config")
        return sha

    async def _process_types(self, built: Built) -> str:
        if not built.processes:
            return ""
        members = [
            *(Member(folder, tar.FOLDER, 0o755, 0, 0) for folder in ("/cnb", image_config.PROCESSES)),
            *(
                Member(f"{image_config.PROCESSES}/{process.type}", tar.SYMLINK, 0o755, 0, 0, link=image_config.LAUNCHER)
                for process in built.processes
            ),
        ]
        sha = await asyncio.to_thread(self._write, members)
        await self._add(sha, "buildpacksio/lifecycle:process-types", "Buildpacks Process Types")
        return sha

    def _write(self, members: Iterable[Member]) -> str:
        path = self._work / f"layer-{len(self._tars)}-{len(self._layers)}.tar"
        with path.open("xb") as file:
            writer = tar.Writer(file)
            for member in members:
                writer.add(member)
            writer.close()
        path = path.rename(self._work / f"{writer.digest}.tar")
        self._tars[writer.digest] = path
        return writer.digest

    async def _add(self, sha: str, title: str, created_by: str) -> None:
        known = builder.known_layer(self._content, sha)
        is_reused = known is not None and sha in self._known
        layer = known or await builder.add_layer(self._content, self._tars[sha])
        self._progress.line(f"{'Reusing' if is_reused else 'Adding'} layer '{title}'")
        self._take(layer, created_by, is_reused=is_reused)

    def _take(self, layer: Layer, created_by: str, *, is_reused: bool) -> None:
        self._layers.append(layer)
        self._created_by.append(created_by)
        self._reused += is_reused


def matches(root: Path, patterns: Iterable[str]) -> list[str]:
    """Paths of the application that a slice names, sorted: Go's globs, without `**`. Raise `Invalid` for a way out of it."""
    found: set[str] = set()
    for pattern in patterns:
        relative = pattern.removeprefix("./")
        if relative.startswith("/") or ".." in relative.split("/"):
            raise Invalid(f"slice {pattern!r} leads out of the application")
        found.update(path.rstrip("/") for path in glob.glob(relative, root_dir=root, include_hidden=True))
    return sorted(found)


def _slice_members(
    root: Path, name: str, paths: Sequence[str], taken: set[str], folders: Mapping[str, Member], uid: int, gid: int
) -> list[Member]:
    """What a slice holds that none before it holds, and the folders above, as they are (`folders`). Adds to `taken`."""
    members: dict[str, Member] = {}
    for path in paths:
        full = f"{name}/{path}"
        above = (folders.get(member.name, member) for member in tar.parents(full, uid, gid))
        members.update((member.name, member) for member in above if member.name not in members)
        for member in tar.tree(root / path, full, uid, gid):
            relative = member.name.removeprefix(f"{name}/")
            if relative in taken:
                continue
            members[member.name] = member
            taken.add(relative)
    taken.update(full.removeprefix(f"{name}/") for full in members if full.startswith(f"{name}/"))
    return list(members.values())


def _run_image(base: OpenedImage, target: Target) -> RunImageRecord:
    top = base.layers[-1].diff_id if base.layers else ""
    reference = f"{target.run_image.rpartition('@')[0] or target.run_image.rsplit(':', 1)[0]}@{base.manifest_digest}"
    return RunImageRecord(top, reference, target.run_image, target.run_mirrors)
