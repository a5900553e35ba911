"""Where the folders of one build are: on this machine, and as the buildpacks see them.

Spec: Platform API 0.15 defaults (`/workspace`, `/layers`, `/platform`, `/cnb/build-config`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

APP, LAYERS, PLATFORM, BUILD_CONFIG = "/workspace", "/layers", "/platform", "/cnb/build-config"
BUILDPACKS, SCRATCH = "/cnb/buildpacks", "/tmp/cnb"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder by its two names."""

    host: Path
    inside: str

    def sub(self, *names: str) -> "Folder":
        """A folder or file below it."""
        return Folder(self.host.joinpath(*names), "/".join((self.inside, *names)))


@dataclass(frozen=True, slots=True)
class Owner:
    """Who the buildpacks run as, and who owns what they leave: CNB_USER_ID and CNB_GROUP_ID of the build image."""

    uid: int
    gid: int

    def take(self, path: Path) -> None:
        """Give a file or folder to the owner; without root everything is the caller's own already."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one build. `image_app` and `image_layers` are their names in the image that is made."""

    app: Folder
    layers: Folder
    platform: Folder
    build_config: Folder
    scratch: Folder  # for what passes between the lifecycle and a buildpack
    owner: Owner
    image_app: str = APP
    image_layers: str = LAYERS

    def make(self, folder: Path) -> Path:
        """Make a folder that the buildpacks may write to."""
        folder.mkdir(parents=True, exist_ok=True)
        self.owner.take(folder)
        return folder

    def write(self, path: Path, text: str) -> None:
        """Write a file that the buildpacks may read and change."""
        path.write_text(text)
        self.owner.take(path)

    @contextmanager
    def temporary(self) -> Iterator[Folder]:
        """A scratch folder for one run of a buildpack."""
        with TemporaryDirectory(dir=self.scratch.host) as name:
            self.owner.take(Path(name))
            yield self.scratch.sub(Path(name).name)


def below(root: Path) -> Places:
    """Places without containers: both names are the same. For tests."""
    names = ("workspace", "layers", "platform", "build-config", "scratch")
    folders = [Folder(root / name, str(root / name)) for name in names]
    for folder in folders:
        folder.host.mkdir(parents=True, exist_ok=True)
    app, layers, platform, config, scratch = folders
    return Places(app, layers, platform, config, scratch, Owner(os.geteuid(), os.getegid()))
