"""Where the programs of buildpacks run.

`ContainerWorkshop` is the real one; `ProcessWorkshop` runs them as plain processes of this machine, for tests without root.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from wherry.buildpacks.lifecycle import places as standard
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.places import Folder, Owner, Places
from wherry.buildpacks.lifecycle.runner import ProcessRunner, Runner
from wherry.buildpacks.platform.machine import Machine


@dataclass(frozen=True, slots=True)
class Bench:
    """What one build stands on: its folder, the image it runs in and that image's user."""

    work: Path
    image_id: str
    owner: Owner
    machine: Machine
    home: str


class Workshop(Protocol):
    """Opened once for a build; nothing of it is left after it is closed, and nothing runs in the folders any more."""

    def places(self, work: Path, owner: Owner) -> Places:
        """The folders of a build below `work`, by their names here and there."""

    def mounted(self, packs: Sequence[Buildpack], work: Path) -> tuple[Buildpack, ...]:
        """The buildpacks as they will be found inside."""

    def open(self, bench: Bench, places: Places) -> AbstractAsyncContextManager[Runner]:
        """Start; the runner works until the block ends."""


class ProcessWorkshop:
    """No container: both names of every folder are the same."""

    def places(self, work: Path, owner: Owner) -> Places:
        return replace(standard.below(work), image_app=standard.APP, image_layers=standard.LAYERS)

    def mounted(self, packs: Sequence[Buildpack], work: Path) -> tuple[Buildpack, ...]:
        return tuple(packs)

    @asynccontextmanager
    async def open(self, bench: Bench, places: Places) -> AsyncIterator[Runner]:
        yield ProcessRunner()


def places_for_containers(work: Path, owner: Owner) -> Places:
    """The folders by the names that every buildpack knows."""
    inside = (standard.APP, standard.LAYERS, standard.PLATFORM, standard.BUILD_CONFIG, standard.SCRATCH)
    folders = []
    for name, path in zip(("workspace", "layers", "platform", "build-config", "scratch"), inside, strict=True):
        folders.append(Folder(work / name, path))
        folders[-1].host.mkdir(parents=True)
    app, layers, platform, config, scratch = folders
    for folder in (app, scratch):
        owner.take(folder.host)
    # /layers itself stays root's: a buildpack must not put a link in the place of another's folder.
    return Places(app, layers, platform, config, scratch, owner)
