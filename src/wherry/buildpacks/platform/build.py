"""`wherry build`: source in, image out.

In:    a folder with source code, names for the image, options.
Out:   `BuildResult`; the image is in the content store, and so on the node and in the registry at once.
Errors: `PhaseFailed` with the exit code of the phase; `NotFound`, `Invalid`, `Unavailable` before the first phase.
Spec:  Platform API 0.15 (analyze, detect, restore, build, export in one process of ours; only programs of buildpacks run
       in the container).
"""

import asyncio
import os
import re
import shutil
import stat
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from wherry.buildpacks.lifecycle import toml_text
from wherry.buildpacks.lifecycle.analyze import Analyzed, analyze
from wherry.buildpacks.lifecycle.build import Built
from wherry.buildpacks.lifecycle.build import build as build_phase
from wherry.buildpacks.lifecycle.cache import VolumeCache
from wherry.buildpacks.lifecycle.descriptor import Packs, Target
from wherry.buildpacks.lifecycle.detect import Detected, Detector
from wherry.buildpacks.lifecycle.export import Exported, Exporter
from wherry.buildpacks.lifecycle.export import Target as ExportTarget
from wherry.buildpacks.lifecycle.export_cache import export_cache
from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed
from wherry.buildpacks.lifecycle.places import Places
from wherry.buildpacks.lifecycle.progress import Progress
from wherry.buildpacks.lifecycle.restore import restore
from wherry.buildpacks.platform import builder as builders
from wherry.buildpacks.platform import caches, inline, machine, project, source, unread
from wherry.buildpacks.platform import images as needed
from wherry.buildpacks.platform.builder import Builder
from wherry.buildpacks.platform.project import Project
from wherry.buildpacks.platform.settings import BuildOptions, BuildSettings
from wherry.buildpacks.platform.workshop import Bench, Workshop
from wherry.container.content.images import ContentImages
from wherry.container.image.service import Image
from wherry.kit.clock import Clock, SystemClock
from wherry.kit.errors import Invalid, NotFound

BUILD_HOME = "/home/cnb"
NO_PROCESS = (
    "no buildpack named a process, so the image would not start; name one in a Procfile: web: COMMAND "
    "(an image without one is made with --allow-no-process)"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What was made, and how much of it was there before."""

    image: Image
    names: tuple[str, ...]
    buildpacks: tuple[str, ...]
    processes: tuple[str, ...]
    default_process: str
    layers_reused: int
    layers_added: int


@dataclass(frozen=True, slots=True)
class _Job:
    """One build, everything chosen."""

    names: tuple[str, ...]
    options: BuildOptions
    project: Project
    builder: Builder
    places: Places
    bench: Bench
    target: Target
    env: Mapping[str, str]
    work: Path


class Platform:
    """Builds on one content store."""

    def __init__(self, settings: BuildSettings, images: ContentImages, workshop: Workshop, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._settings = settings
        self._images = images
        self._workshop = workshop

    async def build(self, folder: Path, names: Sequence[str], options: BuildOptions, progress: Progress) -> BuildResult:
        """Build `folder` into an image under all `names`."""
        source.check(folder)
        if not names:
            raise Invalid("a build needs a name for its image")
        for name in names:
            self._images.content.parse(name)
        for line in unread.lines(folder):
            progress.line(f"note: by Wherry's own buildpacks, {line}")
        described = project.load(options.descriptor or folder / project.FILE)
        async with self._work() as work, self._cache_of(names[0]) as cache_dir:
            options = replace(options, previous_image=self._previous(options, names[0], cache_dir))
            job = await self._prepare(folder, tuple(names), options, described, work, progress)
            cache = await asyncio.to_thread(VolumeCache, cache_dir)
            if options.is_cache_cleared:
                await asyncio.to_thread(cache.clear)
            result = await self._phases(job, cache, progress)
            caches.remember(cache_dir, result.image.id)
        await asyncio.to_thread(caches.trim, self._settings.build_cache_dir, now=self._clock.now().timestamp())
        return result

    def _previous(self, options: BuildOptions, name: str, cache_dir: Path) -> str:
        """What to compare with: as asked for, else the image of that name, else the last of its repository."""
        if options.previous_image:
            self._images.content.open_image(options.previous_image)  # `NotFound`: not to be passed over in silence
            return options.previous_image
        try:
            self._images.content.digest_of(name)
        except NotFound:
            return caches.last_image(cache_dir) or name
        return name

    async def _prepare(
        self, folder: Path, names: tuple[str, ...], options: BuildOptions, described: Project, work: Path, progress: Progress
    ) -> _Job:
        chosen = options.builder or (folder / described.builder if described.builder.endswith(".toml") else builders.OWN_BUILDER)
        builder = inline.apply(builders.load(chosen), described, options.buildpacks, folder, work)
        build_image = await needed.ensure(options.build_image or builder.build_image, self._images, self._settings, progress)
        owner = needed.build_user(build_image, builder.build_image)
        places = self._workshop.places(work, owner)
        around = machine.look(os.environ, Path.home(), BUILD_HOME)
        image_env = needed.environment(build_image)
        _write_platform_env(places, {**around.env, **described.env, **options.env})
        await asyncio.to_thread(
            source.copy, folder, places.app.host, owner, include=described.include, exclude=described.exclude
        )
        return _Job(
            names=names, options=options, project=described,
            builder=replace(builder, packs=self._workshop.mounted(builder.packs, work)),
            places=places, bench=Bench(work, build_image.id, owner, around, BUILD_HOME), target=needed.target(build_image),
            env={"HOME": BUILD_HOME, **image_env, **around.proxies}, work=work,
        )  # fmt: skip

    async def _phases(self, job: _Job, cache: VolumeCache, progress: Progress) -> BuildResult:
        content = self._images.content
        progress.phase("ANALYZING")
        analyzed = await asyncio.to_thread(analyze, content, job.options.previous_image)
        if analyzed.previous_id:
            progress.line(f"Comparing with the last image, {analyzed.previous_id[:19]}")
        detected, built = await self._in_workshop(job, cache, analyzed, progress)
        if not built.processes and not job.options.may_lack_process:
            raise PhaseFailed(Code.EXPORT, NO_PROCESS)
        progress.phase("EXPORTING")
        exported = await self._export(job, detected, built, analyzed, cache, progress)
        if not built.processes:
            progress.line("warning: the image has no process and does not start by itself")
        progress.line(f"*** Images ({exported.image.id[:19]}):")
        for name in job.names:
            progress.line(f"      {name}")
        return BuildResult(
            exported.image, job.names, tuple(pack.name for pack in built.group),
            tuple(process.type for process in built.processes), built.default_process, exported.reused, exported.added,
        )  # fmt: skip

    async def _in_workshop(
        self, job: _Job, cache: VolumeCache, analyzed: Analyzed, progress: Progress
    ) -> tuple[Detected, Built]:
        try:
            async with self._workshop.open(job.bench, job.places) as runner:
                progress.phase("DETECTING")
                detector = Detector(job.places, runner, job.env, job.target, progress)
                detected = await detector.detect(job.builder.order, Packs(job.builder.packs))
                _write_config(job.places, detected)
                progress.phase("RESTORING")
                await restore(job.places, self._images.content, detected.group, analyzed, cache, progress)
                progress.phase("BUILDING")
                return detected, await build_phase(job.places, runner, detected, job.env, job.target, progress)
        except* PhaseFailed as group:
            raise _first(group) from None

    async def _export(
        self, job: _Job, detected: Detected, built: Built, analyzed: Analyzed, cache: VolumeCache, progress: Progress
    ) -> Exported:
        run = job.builder.run_image(detected.group)
        name = job.options.run_image or run.image
        await needed.ensure(name, self._images, self._settings, progress)
        folder = job.work / "export"
        folder.mkdir()
        exporter = Exporter(self._images.content, job.places, folder, analyzed, progress)
        target = ExportTarget(
            job.names, name, run.mirrors, job.options.process, job.options.created, job.project.metadata
        )  # fmt: skip
        try:
            exported = await exporter.export(built, target)
            await export_cache(exporter, exported, built, job.places, cache, progress)
        except Invalid as error:
            raise PhaseFailed(Code.EXPORT, str(error)) from error
        return exported

    @asynccontextmanager
    async def _work(self) -> AsyncIterator[Path]:
        self._settings.work_dir.mkdir(parents=True, exist_ok=True)
        work = self._settings.work_dir / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        work.mkdir(mode=0o700)
        try:
            yield work
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)

    @asynccontextmanager
    async def _cache_of(self, name: str) -> AsyncIterator[Path]:
        """The cache of one repository, whatever the tag; a second build into it waits for the first."""
        repository = self._images.content.parse(name).repository
        with ExitStack() as held:
            yield await asyncio.to_thread(held.enter_context, caches.held(self._settings.build_cache_dir, repository))


def _write_platform_env(places: Places, values: Mapping[str, str]) -> None:
    folder = places.platform.host / "env"
    folder.mkdir()
    for name, value in values.items():
        if not _VARIABLE.fullmatch(name):
            raise Invalid(f"environment variable {name!r}: a name has letters, digits and '_' only")
        path = folder / name
        path.write_text(value)
        path.chmod(stat.S_IRUSR)
        places.owner.take(path)


def _write_config(places: Places, detected: Detected) -> None:
    """group.toml and plan.toml, where every platform has them."""
    for name, document in (("group.toml", detected.group_document()), ("plan.toml", detected.plan_document())):
        (places.layers.host / name).write_text(toml_text.dumps(document))


def _first(group: BaseExceptionGroup[PhaseFailed]) -> PhaseFailed:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PhaseFailed)
    return error
