"""What a build is told, and where it keeps what it needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wherry.buildpacks.lifecycle.image_config import CREATED


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """`data_dir` holds `build-cache/` and, while a build runs, `build/`. It needs a disk and the rights of root."""

    data_dir: Path
    cache_dir: Path  # downloads of the assembler
    run_parent: Path = Path("/run")
    memory_bytes_max: int | None = None  # of a build's container; None: not limited
    milli_cpus_max: int | None = None
    pids_max: int | None = 4096  # processes and threads

    @property
    def work_dir(self) -> Path:
        """Folders of running builds, named after their process."""
        return self.data_dir / "build"

    @property
    def build_cache_dir(self) -> Path:
        """One volume cache for each repository."""
        return self.data_dir / "build-cache"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the user asks for. "" and () mean: as the builder and project.toml say."""

    env: Mapping[str, str] = field(default_factory=dict)  # given to buildpacks, not to the image
    process: str = ""
    is_cache_cleared: bool = False
    previous_image: str = ""  # compare with this one instead of the image of the same name
    builder: Path | None = None  # a builder.toml
    buildpacks: tuple[str, ...] = ()  # ids or folders, instead of the builder's order
    descriptor: Path | None = None  # instead of <source>/project.toml
    build_image: str = ""
    run_image: str = ""
    created: str = CREATED
    may_lack_process: bool = False  # an image that does not start by itself is wanted: a base for others, say
