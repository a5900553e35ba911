"""Builds in containers: one container of the build image for a whole build, and one exec for each program.

In:    the engine's doors, the build image, the folders to mount.
Out:   a `Runner`. The container, its cgroup and its run folder are gone when the block ends, and after a crash at the
       next build (`remove_stale`).
Never: runs anything as root inside; the machine's folders that are not the build's are mounted read-only.
"""

import asyncio
import itertools
import logging
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from wherry.buildpacks.lifecycle import places as standard
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.places import Owner, Places
from wherry.buildpacks.lifecycle.runner import Output, Runner, until_end
from wherry.buildpacks.platform.host_network import HostNetwork
from wherry.buildpacks.platform.settings import BuildSettings
from wherry.buildpacks.platform.workshop import Bench, places_for_containers
from wherry.container.runtime.crun_engine import CrunEngine
from wherry.container.runtime.engine import ContainerConfig, Engine, Mount, Resources, SandboxConfig, Security, Session
from wherry.container.runtime.rootfs import LayerSource
from wherry.container.runtime.settings import RuntimeSettings

log = logging.getLogger(__name__)

NAME = "build"
CPU_SHARES = 512  # half of what a pod that asks for one core has: who is served comes first
_RUN_DIR = "wherry-build-"  # and the number of the process, and of the build in it
_builds = itertools.count(1)
_ENTER = ("/bin/sh", "-c", 'cd "$1" && shift && exec env -i "$@"', "sh")  # not every env(1) has -C
_WAITING = ("/bin/sh", "-c", "exec sleep 2147483647")


class ContainerWorkshop:
    """See `Workshop`."""

    def __init__(self, settings: BuildSettings, layers: LayerSource) -> None:
        self._settings = settings
        self._layers = layers

    def places(self, work: Path, owner: Owner) -> Places:
        return places_for_containers(work, owner)

    def mounted(self, packs: Sequence[Buildpack], work: Path) -> tuple[Buildpack, ...]:
        """Copies them, so that what runs is readable and executable whatever the user's umask was."""
        return tuple(_mounted(pack, work / "buildpacks") for pack in packs)

    @asynccontextmanager
    async def open(self, bench: Bench, places: Places) -> AsyncIterator[Runner]:
        await self.remove_stale()
        engine = self._engine(f"{os.getpid()}-{next(_builds)}", bench.work)
        try:
            await engine.restore()
            await engine.create_sandbox(SandboxConfig(NAME, NAME, NAME, host_network=True))
            await engine.create_container(_container(bench, places, limits_of(self._settings)))
            await engine.start_container(NAME)
            yield ContainerRunner(engine)
        finally:
            await engine.destroy_all()

    async def remove_stale(self) -> None:
        """Take away what builds left that were killed."""
        for run_dir in self._settings.run_parent.glob(f"{_RUN_DIR}*"):
            name = run_dir.name.removeprefix(_RUN_DIR)
            if _is_dead(name):
                log.warning("removing what build %s left", name)
                await self._engine(name, self._settings.work_dir / f"{name}-stale").destroy_all()
        for folder in self._settings.work_dir.glob("*-*"):
            if _is_dead(folder.name):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _engine(self, name: str, work: Path) -> CrunEngine:
        run_dir = self._settings.run_parent / f"{_RUN_DIR}{name}"
        settings = RuntimeSettings(run_dir=run_dir, data_dir=work / "runtime", cgroup_root=run_dir.name)
        return CrunEngine(settings, HostNetwork(run_dir), self._layers)


class ContainerRunner:
    """See `Runner`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: Output) -> int:
        given = (f"{name}={value}" for name, value in env.items())
        session = await self._engine.exec(NAME, (*_ENTER, cwd, *given, *argv), tty=False, stdin=False)
        try:
            return await until_end(_hand_over(session, output), session.wait())
        finally:
            await session.close()


def limits_of(settings: BuildSettings) -> Resources:
    """What the container of a build may use."""
    cpus = settings.milli_cpus_max
    return Resources(
        cpu_shares=CPU_SHARES,
        cpu_quota_us=cpus * 100 if cpus else None,  # of each 100 ms
        memory_limit_bytes=settings.memory_bytes_max,
        pids_limit=settings.pids_max,
    )


async def _hand_over(session: Session, output: Output) -> None:
    async for _, data in session.output():
        output(data)


def _is_dead(name: str) -> bool:
    """Whether a name that begins with a process' number is of a process that is gone."""
    number = name.partition("-")[0]
    return number.isdigit() and not Path("/proc", number).exists()


def _container(bench: Bench, places: Places, limits: Resources) -> ContainerConfig:
    mounts = [
        Mount(str(places.app.host), places.app.inside),
        Mount(str(places.layers.host), places.layers.inside),
        Mount(str(places.scratch.host), places.scratch.inside),
        Mount(str(places.platform.host), places.platform.inside, read_only=True),
        Mount(str(places.build_config.host), places.build_config.inside, read_only=True),
        Mount(str(bench.work / "buildpacks"), standard.BUILDPACKS, read_only=True),
        *(Mount(str(given.source), given.target, read_only=True) for given in bench.machine.shared),
        *_private(bench),
    ]
    return ContainerConfig(
        id=NAME, sandbox_id=NAME, name=NAME, attempt=0, image=bench.image_id, log_path=str(bench.work / "container.log"),
        command=_WAITING, working_dir="/", mounts=tuple(mounts), resources=limits,
        security=Security(user_id=bench.owner.uid, group_id=bench.owner.gid, no_new_privileges=True),
    )  # fmt: skip


def _private(bench: Bench) -> list[Mount]:
    folder = bench.work / "private"
    folder.mkdir(mode=0o700)
    found = []
    for number, given in enumerate(bench.machine.private):
        copy = folder / str(number)
        shutil.copyfile(given.source, copy)
        copy.chmod(0o400)
        bench.owner.take(copy)
        found.append(Mount(str(copy), given.target, read_only=True))
    return found


def _mounted(pack: Buildpack, folder: Path) -> Buildpack:
    place = folder / pack.escaped_id / pack.version
    if not place.exists():
        shutil.copytree(pack.folder, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (place, *place.rglob("*")):
            if not path.is_symlink():
                is_program = path.is_dir() or path.parent.name == "bin" or os.access(path, os.X_OK)
                path.chmod(0o755 if is_program else 0o644)
    return replace(pack, inside=f"{standard.BUILDPACKS}/{pack.escaped_id}/{pack.version}")
